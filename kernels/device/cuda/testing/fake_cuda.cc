// The driver's half of the fake: libcuda.so's functions.

#include <elf.h>

#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/device/cuda/testing/fake_module.h"
#include "kernels/device/cuda/testing/fake_state.h"

namespace actserve {

using testing::FakeKnob;
using testing::FakeMemory;
using testing::FakeModule;
using testing::FakeState;
using testing::HostAddress;
using testing::HostKernel;

// A queue of work and the thread that does it.
struct CuStreamTag {
  CuStreamTag() : thread([this] { Main(); }) {}
  ~CuStreamTag() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
      changed.notify_all();
    }
    thread.join();
  }

  void Put(std::function<void()> work) {
    std::lock_guard lock(mutex);
    queue.push_back(std::move(work));
    changed.notify_all();
  }

  bool IsIdle() {
    std::lock_guard lock(mutex);
    return queue.empty() && !works;
  }

  void Main() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return stopping || !queue.empty(); });
      if (queue.empty()) return;
      const std::function<void()> work = std::move(queue.front());
      queue.pop_front();
      works = true;
      lock.unlock();
      work();
      lock.lock();
      works = false;
    }
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> queue;
  bool stopping = false;
  bool works = false;
  std::thread thread;
};

struct CuEventTag {
  std::mutex mutex;
  int64_t recorded = 0;
  int64_t reached = 0;
  std::chrono::steady_clock::time_point time;
};

struct CuModuleTag {
  std::unique_ptr<FakeModule> module;
  std::vector<std::unique_ptr<CuFunctionTag>> functions;
};

struct CuFunctionTag {
  FakeModule* module;
  HostKernel kernel;
  int max_shared_bytes = 48 << 10;
};

namespace {

std::atomic<int64_t>& Knob(FakeKnob knob) {
  return FakeState::Get().knob(knob);
}

template <typename T>
T* Handed(T* object) {
  FakeState::Get().Add(object);
  return object;
}

thread_local bool has_context = false;

// The beginning of every call but the first few.
CuResult Entered() {
  const CuResult sticky = FakeState::Get().sticky();
  if (sticky != kCuSuccess) return sticky;
  return has_context ? kCuSuccess : static_cast<CuResult>(201);
}

// The default streams, which have numbers, are one here.
CuStream StreamOf(CuStream stream) {
  if (reinterpret_cast<uintptr_t>(stream) > 2) return stream;
  static CuStreamTag* const by_default = new CuStreamTag;
  return by_default;
}

// Where an ELF file ends: a linker writes the section headers last.
size_t ElfSizeBytes(const void* image) {
  const auto* header = static_cast<const Elf64_Ehdr*>(image);
  if (std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return 0;
  return header->e_shoff + size_t{header->e_shnum} * header->e_shentsize;
}

}  // namespace
}  // namespace actserve

using namespace actserve;  // NOLINT: the functions below are C's

#define FAKE_CALL(name) ACTSERVE_FAKE_EXPORT CuResult name
#define RETURN_IF_FAILED(expression) \
  if (const CuResult failed = (expression); failed != kCuSuccess) return failed

FAKE_CALL(cuInit)(unsigned) {
  RETURN_IF_FAILED(static_cast<CuResult>(Knob(FakeKnob::kInitResult).load()));
  return Knob(FakeKnob::kDevices) == 0 ? kCuNoDevice : kCuSuccess;
}
FAKE_CALL(cuDriverGetVersion)(int* version) {
  *version = Knob(FakeKnob::kVersion);
  return kCuSuccess;
}
FAKE_CALL(cuGetErrorName)(CuResult result, const char** name) {
  switch (result) {
    case kCuOutOfMemory:
      *name = "CUDA_ERROR_OUT_OF_MEMORY";
      return kCuSuccess;
    case kCuIllegalAddress:
      *name = "CUDA_ERROR_ILLEGAL_ADDRESS";
      return kCuSuccess;
    default:
      *name = "CUDA_ERROR_OF_THE_FAKE";
      return kCuSuccess;
  }
}

FAKE_CALL(cuDeviceGetCount)(int* count) {
  *count = Knob(FakeKnob::kDevices);
  return kCuSuccess;
}
FAKE_CALL(cuDeviceGet)(CuDevice* device, int ordinal) {
  *device = ordinal;
  return ordinal < Knob(FakeKnob::kDevices) ? kCuSuccess : kCuInvalidDevice;
}
FAKE_CALL(cuDeviceGetName)(char* name, int size_bytes, CuDevice) {
  std::strncpy(name, "Fake GPU", size_bytes);
  return kCuSuccess;
}
FAKE_CALL(cuDeviceGetAttribute)(int* value, CuDeviceAttribute attribute,
                                CuDevice) {
  const int architecture = Knob(FakeKnob::kArchitecture);
  switch (attribute) {
    case kCuMultiprocessorCount:
      *value = 2;
      return kCuSuccess;
    case kCuL2CacheBytes:
      *value = 1 << 20;
      return kCuSuccess;
    case kCuComputeCapabilityMajor:
      *value = architecture / 10;
      return kCuSuccess;
    case kCuComputeCapabilityMinor:
      *value = architecture % 10;
      return kCuSuccess;
    case kCuMaxSharedBytesPerBlockOptin:
      *value = 227 << 10;
      return kCuSuccess;
    case kCuMemoryPoolsSupported:
      *value = Knob(FakeKnob::kMemoryPools);
      return kCuSuccess;
  }
  return kCuInvalidValue;
}
FAKE_CALL(cuDeviceTotalMem_v2)(size_t* size_bytes, CuDevice) {
  *size_bytes = Knob(FakeKnob::kMemoryBytes);
  return kCuSuccess;
}
FAKE_CALL(cuDevicePrimaryCtxRetain)(CuContext* context, CuDevice) {
  *context = reinterpret_cast<CuContext>(&has_context);
  return kCuSuccess;
}
FAKE_CALL(cuDevicePrimaryCtxRelease_v2)(CuDevice) { return kCuSuccess; }
FAKE_CALL(cuCtxSetCurrent)(CuContext context) {
  has_context = context != nullptr;
  return Entered();
}

FAKE_CALL(cuCtxGetCurrent)(CuContext* context) {
  *context = has_context ? reinterpret_cast<CuContext>(&has_context) : nullptr;
  return kCuSuccess;
}
FAKE_CALL(cuDeviceGetUuid_v2)(CuUuid* uuid, CuDevice device) {
  std::memset(uuid->bytes, 0xf0 + device, sizeof(uuid->bytes));
  return kCuSuccess;
}

FAKE_CALL(cuModuleLoadData)(CuModule* module, const void* image) {
  RETURN_IF_FAILED(Entered());
  if (FakeState::Get().IsNth(FakeKnob::kFailLoadAt)) return kCuInvalidImage;
  const size_t size_bytes = ElfSizeBytes(image);
  auto loaded = size_bytes == 0 ? nullptr : FakeModule::Load(image, size_bytes);
  if (loaded == nullptr) return kCuInvalidImage;
  *module = Handed(new CuModuleTag{std::move(loaded), {}});
  return kCuSuccess;
}
FAKE_CALL(cuModuleUnload)(CuModule module) {
  RETURN_IF_FAILED(Entered());
  FakeState::Get().Remove(module);
  delete module;
  return kCuSuccess;
}
FAKE_CALL(cuModuleGetFunction)(CuFunction* function, CuModule module,
                               const char* name) {
  RETURN_IF_FAILED(Entered());
  const HostKernel kernel = module->module->Find(name);
  if (kernel == nullptr) return kCuNotFound;
  module->functions.push_back(std::unique_ptr<CuFunctionTag>(
      new CuFunctionTag{module->module.get(), kernel}));
  *function = module->functions.back().get();
  return kCuSuccess;
}
FAKE_CALL(cuFuncSetAttribute)(CuFunction function,
                              CuFunctionAttribute attribute, int value) {
  RETURN_IF_FAILED(Entered());
  if (attribute != kCuMaxDynamicSharedBytes || value > 227 << 10) {
    return kCuInvalidValue;
  }
  function->max_shared_bytes = value;
  return kCuSuccess;
}
FAKE_CALL(cuLaunchKernel)(CuFunction function, unsigned grid_x, unsigned grid_y,
                          unsigned grid_z, unsigned block_x, unsigned block_y,
                          unsigned block_z, unsigned shared_bytes,
                          CuStream stream, void** parameters, void**) {
  RETURN_IF_FAILED(Entered());
  if (grid_x == 0 || block_x == 0 || block_x > 1024 ||
      grid_y * grid_z * block_y * block_z != 1 ||
      static_cast<int>(shared_bytes) > function->max_shared_bytes) {
    return kCuInvalidValue;
  }
  FakeState& state = FakeState::Get();
  Knob(FakeKnob::kNumLaunches).fetch_add(1);
  const bool hangs = state.IsNth(FakeKnob::kHangAtLaunch);
  const bool faults = state.IsNth(FakeKnob::kStickyAtLaunch);
  const bool wrong = state.IsNth(FakeKnob::kWrongAtLaunch);
  const auto* const bytes = static_cast<const unsigned char*>(parameters[0]);
  std::vector<unsigned char> argument(
      bytes, bytes + function->module->argument_bytes());
  stream->Put([=, argument = std::move(argument)] {
    FakeState& state = FakeState::Get();
    if (hangs) state.Hang();
    if (faults) state.SetSticky(kCuIllegalAddress);
    if (state.sticky() != kCuSuccess || wrong) return;
    for (size_t i = 0; i + 8 <= argument.size(); i += 8) {
      uint64_t word = 0;
      std::memcpy(&word, argument.data() + i, sizeof word);
      if (!FakeMemory::Get().CheckWord(word, stream)) return;
    }
    function->module->Run(function->kernel, grid_x, block_x, shared_bytes,
                          argument.data());
  });
  return kCuSuccess;
}

FAKE_CALL(cuMemGetInfo_v2)(size_t* free_bytes, size_t* total_bytes) {
  RETURN_IF_FAILED(Entered());
  *total_bytes = Knob(FakeKnob::kMemoryBytes);
  *free_bytes = *total_bytes - Knob(FakeKnob::kUsedBytes);
  return kCuSuccess;
}
FAKE_CALL(cuDeviceGetDefaultMemPool)(CuMemoryPool* pool, CuDevice) {
  *pool = nullptr;
  return kCuSuccess;
}
FAKE_CALL(cuMemPoolSetAttribute)(CuMemoryPool, CuMemoryPoolAttribute attribute,
                                 void*) {
  return attribute == kCuReleaseThreshold ? kCuSuccess : kCuInvalidValue;
}
FAKE_CALL(cuMemAllocAsync)(CuDeviceAddress* address, size_t size_bytes,
                           CuStream stream) {
  RETURN_IF_FAILED(Entered());
  stream = StreamOf(stream);
  RETURN_IF_FAILED(FakeMemory::Get().Allocate(size_bytes, stream, address));
  const bool hangs = FakeState::Get().IsNth(FakeKnob::kHangAtAlloc);
  stream->Put([=, block = *address] {
    if (hangs) FakeState::Get().Hang();
    FakeMemory::Get().SetReady(block);
  });
  return kCuSuccess;
}
FAKE_CALL(cuMemFreeAsync)(CuDeviceAddress address, CuStream stream) {
  RETURN_IF_FAILED(Entered());
  stream->Put([=] { FakeMemory::Get().Free(address); });
  return kCuSuccess;
}
FAKE_CALL(cuMemHostAlloc)(void** memory, size_t size_bytes, unsigned) {
  RETURN_IF_FAILED(Entered());
  if (FakeState::Get().IsNth(FakeKnob::kFailPinAt)) return kCuOutOfMemory;
  *memory = Handed(::operator new(size_bytes, std::align_val_t{4096}));
  return kCuSuccess;
}
FAKE_CALL(cuMemFreeHost)(void* memory) {
  RETURN_IF_FAILED(Entered());
  FakeState::Get().Remove(memory);
  ::operator delete(memory, std::align_val_t{4096});
  return kCuSuccess;
}
FAKE_CALL(cuMemcpyHtoDAsync_v2)(CuDeviceAddress to, const void* from,
                                size_t size_bytes, CuStream stream) {
  RETURN_IF_FAILED(Entered());
  stream = StreamOf(stream);
  Knob(FakeKnob::kNumCopies).fetch_add(1);
  stream->Put([=] {
    if (FakeState::Get().sticky() != kCuSuccess) return;
    if (!FakeMemory::Get().Check(to, size_bytes, stream)) return;
    std::memcpy(HostAddress(to), from, size_bytes);
  });
  return kCuSuccess;
}
FAKE_CALL(cuMemcpyDtoHAsync_v2)(void* to, CuDeviceAddress from,
                                size_t size_bytes, CuStream stream) {
  RETURN_IF_FAILED(Entered());
  Knob(FakeKnob::kNumCopies).fetch_add(1);
  stream->Put([=] {
    if (FakeState::Get().sticky() != kCuSuccess) return;
    if (!FakeMemory::Get().Check(from, size_bytes, stream)) return;
    std::memcpy(to, HostAddress(from), size_bytes);
  });
  return kCuSuccess;
}

FAKE_CALL(cuMemcpyDtoDAsync_v2)
(CuDeviceAddress to, CuDeviceAddress from, size_t size_bytes, CuStream stream) {
  RETURN_IF_FAILED(Entered());
  stream->Put([=] {
    if (FakeState::Get().sticky() != kCuSuccess) return;
    if (!FakeMemory::Get().Check(from, size_bytes, stream)) return;
    if (!FakeMemory::Get().Check(to, size_bytes, stream)) return;
    std::memcpy(HostAddress(to), HostAddress(from), size_bytes);
  });
  return kCuSuccess;
}

FAKE_CALL(cuStreamCreate)(CuStream* stream, unsigned) {
  RETURN_IF_FAILED(Entered());
  *stream = Handed(new CuStreamTag);
  return kCuSuccess;
}
FAKE_CALL(cuStreamDestroy_v2)(CuStream stream) {
  RETURN_IF_FAILED(Entered());
  FakeState::Get().Remove(stream);
  delete stream;
  return kCuSuccess;
}
FAKE_CALL(cuStreamQuery)(CuStream stream) {
  RETURN_IF_FAILED(Entered());
  return StreamOf(stream)->IsIdle() ? kCuSuccess : kCuNotReady;
}
FAKE_CALL(cuEventCreate)(CuEvent* event, unsigned) {
  RETURN_IF_FAILED(Entered());
  *event = Handed(new CuEventTag);
  return kCuSuccess;
}
FAKE_CALL(cuEventDestroy_v2)(CuEvent event) {
  RETURN_IF_FAILED(Entered());
  FakeState::Get().Remove(event);
  delete event;
  return kCuSuccess;
}
FAKE_CALL(cuEventRecord)(CuEvent event, CuStream stream) {
  RETURN_IF_FAILED(Entered());
  FakeState& state = FakeState::Get();
  if (state.IsNth(FakeKnob::kStickyAtRecord)) state.SetSticky(kCuLaunchFailed);
  if (state.IsNth(FakeKnob::kHangAtRecord)) state.Hang();
  std::lock_guard lock(event->mutex);
  const int64_t number = ++event->recorded;
  stream->Put([=] {
    std::lock_guard lock(event->mutex);
    event->reached = number;
    event->time = std::chrono::steady_clock::now();
  });
  return kCuSuccess;
}
FAKE_CALL(cuEventQuery)(CuEvent event) {
  RETURN_IF_FAILED(Entered());
  const int64_t pause = Knob(FakeKnob::kQueryPauseMillis).exchange(0);
  if (pause > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(pause));
    return kCuNotReady;
  }
  std::lock_guard lock(event->mutex);
  return event->reached == event->recorded ? kCuSuccess : kCuNotReady;
}
FAKE_CALL(cuEventElapsedTime)(float* milliseconds, CuEvent start, CuEvent end) {
  RETURN_IF_FAILED(Entered());
  std::scoped_lock lock(start->mutex, end->mutex);
  for (const CuEvent event : {start, end}) {
    if (event->recorded == 0) return kCuInvalidHandle;
    if (event->reached != event->recorded) return kCuNotReady;
  }
  *milliseconds =
      std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return kCuSuccess;
}
