#include "kernels/device/cuda/testing/fake_state.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

namespace actserve::testing {
namespace {

constexpr size_t kGuardBytes = 256;
constexpr unsigned char kGuard = 0x5a;
constexpr unsigned char kFresh = 0xa5;  // a number that shows in results

// The knobs that another process can set.
constexpr struct {
  FakeKnob knob;
  const char* name;
  int64_t value;
} kKnobs[] = {
    {FakeKnob::kDevices, "devices", 1},
    {FakeKnob::kVersion, "version", 13000},
    {FakeKnob::kInitResult, "init_result", 0},
    {FakeKnob::kArchitecture, "architecture", 90},
    {FakeKnob::kMemoryPools, "memory_pools", 1},
    {FakeKnob::kMemoryBytes, "memory_bytes", int64_t{1} << 30},
    {FakeKnob::kNvrtcMajor, "nvrtc_major", 13},
    {FakeKnob::kFailAllocAt, "fail_alloc_at", 0},
    {FakeKnob::kFailPinAt, "fail_pin_at", 0},
    {FakeKnob::kFailLoadAt, "fail_load_at", 0},
    {FakeKnob::kFailCompileAt, "fail_compile_at", 0},
    {FakeKnob::kStickyAtLaunch, "sticky_at_launch", 0},
    {FakeKnob::kHangAtLaunch, "hang_at_launch", 0},
    {FakeKnob::kWrongAtLaunch, "wrong_at_launch", 0},
    {FakeKnob::kHangAtAlloc, "hang_at_alloc", 0},
    {FakeKnob::kStickyAtRecord, "sticky_at_record", 0},
    {FakeKnob::kHangAtRecord, "hang_at_record", 0},
    {FakeKnob::kQueryPauseMillis, "query_pause_millis", 0},
    {FakeKnob::kSticky, "sticky", 0},
};

}  // namespace

FakeState& FakeState::Get() {
  static FakeState* const state = new FakeState;
  return *state;
}

void FakeState::Reset() {
  for (const auto& row : kKnobs) knob(row.knob) = row.value;
  for (FakeKnob count : {FakeKnob::kNumCompiles, FakeKnob::kNumLaunches,
                         FakeKnob::kNumCopies, FakeKnob::kNumFaults}) {
    knob(count) = 0;
  }
  const char* const variable = std::getenv("FAKE_CUDA");
  std::string settings = variable == nullptr ? "" : variable;
  std::replace(settings.begin(), settings.end(), ',', '\n');
  settings = "\n" + settings;
  for (const auto& row : kKnobs) {
    const std::string key = std::string("\n") + row.name + "=";
    const size_t at = settings.find(key);
    if (at == std::string::npos) continue;
    knob(row.knob) = std::atoll(settings.c_str() + at + key.size());
  }
  std::lock_guard lock(mutex_);
  ++num_resets_;
  reset_.notify_all();
}

bool FakeState::IsNth(FakeKnob which) {
  std::atomic<int64_t>& left = knob(which);
  int64_t value = left.load();
  while (value > 0 && !left.compare_exchange_weak(value, value - 1)) {
  }
  return value == 1;
}

void FakeState::Add(void* object) {
  std::lock_guard lock(mutex_);
  objects_.insert(object);
  knob(FakeKnob::kNumObjects) = objects_.size();
}

void FakeState::Remove(void* object) {
  std::lock_guard lock(mutex_);
  if (objects_.erase(object) == 0) knob(FakeKnob::kNumFaults).fetch_add(1);
  knob(FakeKnob::kNumObjects) = objects_.size();
}

void FakeState::Hang() {
  std::unique_lock lock(mutex_);
  const int64_t before = num_resets_;
  reset_.wait(lock, [&] { return num_resets_ != before; });
}

FakeMemory& FakeMemory::Get() {
  static FakeMemory* const memory = new FakeMemory;
  return *memory;
}

CuResult FakeMemory::Allocate(size_t size_bytes, CuStream stream,
                              CuDeviceAddress* address) {
  if (size_bytes == 0) return kCuInvalidValue;
  FakeState& state = FakeState::Get();
  std::atomic<int64_t>& used = state.knob(FakeKnob::kUsedBytes);
  if (state.IsNth(FakeKnob::kFailAllocAt) ||
      used.load() + static_cast<int64_t>(size_bytes) >
          state.knob(FakeKnob::kMemoryBytes).load()) {
    return kCuOutOfMemory;
  }
  auto* const block = static_cast<unsigned char*>(std::aligned_alloc(
      kGuardBytes, (size_bytes + kGuardBytes - 1) / kGuardBytes * kGuardBytes +
                       2 * kGuardBytes));
  if (block == nullptr) return kCuOutOfMemory;
  std::memset(block, kGuard, kGuardBytes);
  std::memset(block + kGuardBytes, kFresh, size_bytes);
  std::memset(block + kGuardBytes + size_bytes, kGuard, kGuardBytes);
  *address = reinterpret_cast<CuDeviceAddress>(block + kGuardBytes);
  used.fetch_add(size_bytes);
  std::lock_guard lock(mutex_);
  blocks_[*address] = {size_bytes, stream, ++last_id_};
  return kCuSuccess;
}

void FakeMemory::Add(CuDeviceAddress address, size_t size_bytes) {
  std::lock_guard lock(mutex_);
  blocks_[address] = {size_bytes, nullptr, ++last_id_};
}

void FakeMemory::Remove(CuDeviceAddress address) {
  std::lock_guard lock(mutex_);
  blocks_.erase(address);
}

bool FakeMemory::Range(CuDeviceAddress address, CuDeviceAddress* base,
                       size_t* size_bytes) {
  std::lock_guard lock(mutex_);
  auto it = blocks_.upper_bound(address);
  if (it == blocks_.begin()) return false;
  --it;
  *base = it->first;
  *size_bytes = it->second.size_bytes;
  return address < it->first + it->second.size_bytes;
}

uint64_t FakeMemory::IdOf(CuDeviceAddress address) {
  std::lock_guard lock(mutex_);
  const Block* const block = Find(address, 1);
  return block == nullptr ? 0 : block->id;
}

void FakeMemory::SetReady(CuDeviceAddress address) {
  std::lock_guard lock(mutex_);
  if (const auto it = blocks_.find(address); it != blocks_.end()) {
    it->second.owner = nullptr;
  }
}

void FakeMemory::Free(CuDeviceAddress address) {
  FakeState& state = FakeState::Get();
  auto* const data = static_cast<unsigned char*>(HostAddress(address));
  size_t size_bytes = 0;
  {
    std::lock_guard lock(mutex_);
    const auto found = blocks_.find(address);
    if (found == blocks_.end()) {
      state.knob(FakeKnob::kNumFaults).fetch_add(1);
      return;
    }
    size_bytes = found->second.size_bytes;
    blocks_.erase(found);
  }
  for (size_t i = 0; i < kGuardBytes; ++i) {
    if (data[size_bytes + i] != kGuard || data[i - kGuardBytes] != kGuard) {
      state.knob(FakeKnob::kNumFaults).fetch_add(1);
      break;
    }
  }
  state.knob(FakeKnob::kUsedBytes).fetch_sub(size_bytes);
  std::free(data - kGuardBytes);
}

bool FakeMemory::Refuse() {
  FakeState::Get().knob(FakeKnob::kNumFaults).fetch_add(1);
  FakeState::Get().SetSticky(kCuIllegalAddress);
  return false;
}

const FakeMemory::Block* FakeMemory::Find(CuDeviceAddress address,
                                          size_t size_bytes) const {
  auto it = blocks_.upper_bound(address);
  if (it == blocks_.begin()) return nullptr;
  --it;
  const Block& block = it->second;
  return address + size_bytes <= it->first + block.size_bytes ? &block
                                                              : nullptr;
}

bool FakeMemory::Check(CuDeviceAddress address, size_t size_bytes,
                       CuStream stream) {
  std::lock_guard lock(mutex_);
  const Block* const block = Find(address, size_bytes);
  if (block == nullptr) return Refuse();
  return block->owner == nullptr || block->owner == stream || Refuse();
}

bool FakeMemory::CheckWord(uint64_t word, CuStream stream) {
  std::lock_guard lock(mutex_);
  const Block* const block = Find(word, 1);
  return block == nullptr || block->owner == nullptr ||
         block->owner == stream || Refuse();
}

}  // namespace actserve::testing

using actserve::testing::FakeKnob;
using actserve::testing::FakeState;

ACTSERVE_FAKE_EXPORT void fake_cuda_reset() { FakeState::Get().Reset(); }
ACTSERVE_FAKE_EXPORT void fake_cuda_set(int knob, int64_t value) {
  FakeState::Get().knob(static_cast<FakeKnob>(knob)) = value;
}
ACTSERVE_FAKE_EXPORT int64_t fake_cuda_get(int knob) {
  return FakeState::Get().knob(static_cast<FakeKnob>(knob));
}
