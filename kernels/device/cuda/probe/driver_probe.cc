#include "kernels/device/cuda/probe/driver_probe.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "kernels/base/quantile.h"
#include "kernels/codegen/cuda/emit.h"
#include "kernels/codegen/cuda/nvrtc.h"
#include "kernels/device/cuda/cuda_device.h"
#include "kernels/device/cuda/driver/cuda_context.h"
#include "kernels/device/cuda/driver/driver.h"
#include "kernels/device/cuda/probe/relu_check.h"
#include "kernels/device/cuda/program/sass_builder.h"

namespace actserve {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kKiB = int64_t{1} << 10;
constexpr int64_t kMiB = int64_t{1} << 20;
// The pinned blocks, and the largest copy.
constexpr int64_t kBufferBytes = 64 * kMiB;
constexpr int64_t kBlockBytes[] = {4 * kKiB, 2 * kMiB, 64 * kMiB, 256 * kMiB};
constexpr int64_t kCopyBytes[] = {4 * kKiB, 64 * kKiB, kMiB,
                                  2 * kMiB, 16 * kMiB, kBufferBytes};
constexpr uint32_t kPoison = 0x7fc0'1234;  // no result of relu

// What a CudaDevice asks for.
struct Attribute {
  CuDeviceAttribute attribute;
  const char* name;
};
constexpr Attribute kAttributes[] = {
    {kCuComputeCapabilityMajor, "COMPUTE_CAPABILITY_MAJOR"},
    {kCuComputeCapabilityMinor, "COMPUTE_CAPABILITY_MINOR"},
    {kCuMultiprocessorCount, "MULTIPROCESSOR_COUNT"},
    {kCuL2CacheBytes, "L2_CACHE_SIZE"},
    {kCuMaxSharedBytesPerBlockOptin, "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"},
    {kCuMemoryPoolsSupported, "MEMORY_POOLS_SUPPORTED"},
};

std::string SizeName(int64_t size_bytes) {
  return size_bytes < kMiB ? absl::StrCat(size_bytes / kKiB, " KiB")
                           : absl::StrCat(size_bytes / kMiB, " MiB");
}

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

DriverProbe::Result DriverProbe::Run() {
  RunSteps();
  if (!report_.failed().empty()) {
    report_.Finish(
        static_cast<int>(Result::kFailed),
        absl::StrCat("Failed: ", absl::StrJoin(report_.failed(), "; "), "."));
    return Result::kFailed;
  }
  if (!no_device_.empty()) {
    report_.Finish(static_cast<int>(Result::kNoDevice),
                   absl::StrCat("No GPU here: ", no_device_, "."));
    return Result::kNoDevice;
  }
  report_.Finish(static_cast<int>(Result::kWorks), "Everything worked.");
  return Result::kWorks;
}

void DriverProbe::RunSteps() {
  if (!OpenDriver() || !Initialize()) return;
  if (!DescribeDevice() || !EnterContext()) return;
  if (MakeStreams()) {
    TryEvents();
    TryMemory();
    TryCopies();
    TryKernel();
  }
  TryDevice();
  TearDown();
}

void DriverProbe::SayNoDevice(ProbeRow& row, absl::string_view why) {
  for (const std::string& node : options_.device_nodes) {
    std::error_code ignored;
    if (std::filesystem::exists(node, ignored)) {
      row.Fail(absl::StrCat(why, ", but there is ", node));
      return;
    }
  }
  row.Inform(why);
  no_device_ = std::string(why);
}

std::string DriverProbe::WhyNot() const {
  return calls_->hung() ? calls_->WhyHung() : "";
}

bool DriverProbe::OpenDriver() {
  std::shared_ptr<CudaDriver> driver;
  report_.Record("dlopen of the driver", [&](ProbeRow& row) {
    absl::StatusOr<std::shared_ptr<CudaDriver>> loaded = CudaDriver::Load();
    if (loaded.ok()) {
      driver = *std::move(loaded);
      row.found["library"] = driver->path();
      if (!driver->missing_symbol().empty()) {
        row.Fail(absl::StrCat("it has no ", driver->missing_symbol()));
      }
    } else if (absl::IsUnimplemented(loaded.status())) {
      SayNoDevice(row, loaded.status().message());
    } else {
      row.Fail(loaded.status().message());
    }
  });
  if (driver == nullptr) return false;
  const bool is_whole = driver->missing_symbol().empty();
  calls_.emplace(std::move(driver), &report_, options_.deadline);
  int version = 0;
  calls_->Call(
      "cuDriverGetVersion", [&] { return cuda().DriverGetVersion(&version); },
      [&](ProbeRow& row) {
        row.found["version"] = CudaDriver::VersionName(version);
        if (version < CudaDriver::kMinVersion) {
          row.Fail(absl::StrCat(
              "want ", CudaDriver::VersionName(CudaDriver::kMinVersion),
              " or newer"));
        }
      });
  return is_whole;
}

bool DriverProbe::Initialize() {
  CuResult result = kCuSuccess;
  report_.Record("cuInit", [&](ProbeRow& row) {
    result = cuda().Init(0);
    const std::string name = calls_->driver().ResultName(result);
    if (result == kCuNoDevice) {
      SayNoDevice(row, name);
    } else if (result != kCuSuccess) {
      row.Fail(name);
    }
  });
  if (result != kCuSuccess) return false;
  int count = 0;
  return calls_->Call(
             "cuDeviceGetCount", [&] { return cuda().DeviceGetCount(&count); },
             [&](ProbeRow& row) {
               row.found["devices"] = count;
               if (count == 0) SayNoDevice(row, "the driver finds no device");
             }) &&
         count > 0;
}

bool DriverProbe::DescribeDevice() {
  if (!calls_->Call(absl::StrCat("cuDeviceGet(", options_.ordinal, ")"), [&] {
        return cuda().DeviceGet(&device_, options_.ordinal);
      })) {
    return false;
  }
  char name[256] = {};
  calls_->Call(
      "cuDeviceGetName",
      [&] { return cuda().DeviceGetName(name, sizeof(name) - 1, device_); },
      [&](ProbeRow& row) { row.found["name"] = name; });
  for (const Attribute& attribute : kAttributes) {
    int value = 0;
    calls_->Call(
        absl::StrCat("cuDeviceGetAttribute(", attribute.name, ")"),
        [&] {
          return cuda().DeviceGetAttribute(&value, attribute.attribute,
                                           device_);
        },
        [&](ProbeRow& row) {
          row.found["value"] = value;
          if (attribute.attribute == kCuComputeCapabilityMajor) {
            architecture_ = value * 10;
          } else if (attribute.attribute == kCuComputeCapabilityMinor) {
            architecture_ += value;
            if (architecture_ < CudaContext::kMinArchitecture) {
              row.Fail(absl::StrCat("sm_", architecture_, ": want sm_",
                                    CudaContext::kMinArchitecture,
                                    " or newer"));
            }
          } else if (attribute.attribute == kCuMaxSharedBytesPerBlockOptin) {
            max_shared_bytes_ = value;
          } else if (attribute.attribute == kCuMemoryPoolsSupported &&
                     value == 0) {
            row.Fail("the device has no memory pools");
          }
        });
  }
  size_t total_bytes = 0;
  calls_->Call(
      "cuDeviceTotalMem",
      [&] { return cuda().DeviceTotalMem(&total_bytes, device_); },
      [&](ProbeRow& row) { row.found["bytes"] = total_bytes; });
  return true;
}

bool DriverProbe::EnterContext() {
  if (!calls_->Call("cuDevicePrimaryCtxRetain", [&] {
        return cuda().DevicePrimaryCtxRetain(&context_, device_);
      })) {
    return false;
  }
  if (!calls_->Call("cuCtxSetCurrent",
                    [&] { return cuda().CtxSetCurrent(context_); })) {
    return false;
  }
  size_t free_bytes = 0;
  size_t total_bytes = 0;
  calls_->Call(
      "cuMemGetInfo",
      [&] { return cuda().MemGetInfo(&free_bytes, &total_bytes); },
      [&](ProbeRow& row) {
        row.found["free_bytes"] = free_bytes;
        row.found["total_bytes"] = total_bytes;
      });
  return true;
}

bool DriverProbe::MakeStreams() {
  bool made = true;
  for (CuStream& stream : streams_) {
    made &= calls_->Call("cuStreamCreate", [&] {
      return cuda().StreamCreate(&stream, kCuStreamNonBlocking);
    });
  }
  for (CuEvent& event : events_) {
    made &= calls_->Call("cuEventCreate", [&] {
      return cuda().EventCreate(&event, kCuEventDefault);
    });
  }
  if (!made) report_.NotTried("work on the device", "no streams or no events");
  return made;
}

void DriverProbe::TryEvents() {
  for (CuEvent event : events_) {
    calls_->Call("cuEventRecord",
                 [&] { return cuda().EventRecord(event, streams_[0]); });
  }
  if (!calls_->Call("cuEventQuery until both are done", [&] {
        const CuResult result = calls_->Wait(events_[0]);
        return result == kCuSuccess ? calls_->Wait(events_[1]) : result;
      })) {
    return;
  }
  float milliseconds = 0;
  calls_->Call(
      "cuEventElapsedTime",
      [&] {
        return cuda().EventElapsedTime(&milliseconds, events_[0], events_[1]);
      },
      [&](ProbeRow& row) { row.found["elapsed_us"] = milliseconds * 1e3; });
  std::vector<double> seconds;
  calls_->Call(
      "cuEventQuery of an idle stream, 1000 times",
      [&] {
        CuResult result = kCuSuccess;
        for (int i = 0; i < 1000 && result == kCuSuccess; ++i) {
          const Clock::time_point start = Clock::now();
          result = cuda().EventQuery(events_[0]);
          seconds.push_back(SecondsSince(start));
        }
        return result;
      },
      [&](ProbeRow& row) {
        row.found["median_us"] = Median(seconds) * 1e6;
        row.found["most_us"] =
            *std::max_element(seconds.begin(), seconds.end()) * 1e6;
      });
}

void DriverProbe::TryMemory() {
  if (const std::string why = WhyNot(); !why.empty()) {
    report_.NotTried("cuMemAllocAsync", why);
    return;
  }
  CuMemoryPool pool = nullptr;
  if (calls_->Call("cuDeviceGetDefaultMemPool", [&] {
        return cuda().DeviceGetDefaultMemPool(&pool, device_);
      })) {
    // As the device does, or every wait gives freed memory back.
    uint64_t threshold = UINT64_MAX;
    calls_->Call("cuMemPoolSetAttribute(RELEASE_THRESHOLD)", [&] {
      return cuda().MemPoolSetAttribute(pool, kCuReleaseThreshold, &threshold);
    });
  }
  for (const int64_t size_bytes : kBlockBytes) TryBlock(size_bytes);
  std::vector<double> seconds;
  calls_->Call(
      "cuMemAllocAsync(2 MiB) and cuMemFreeAsync, 100 times",
      [&] {
        CuResult result = kCuSuccess;
        for (int i = 0; i < 100 && result == kCuSuccess; ++i) {
          const Clock::time_point start = Clock::now();
          CuDeviceAddress address = 0;
          result = cuda().MemAllocAsync(&address, 2 * kMiB, streams_[0]);
          if (result == kCuSuccess) {
            result = cuda().MemFreeAsync(address, streams_[0]);
          }
          seconds.push_back(SecondsSince(start));
        }
        return result;
      },
      [&](ProbeRow& row) { row.found["median_us"] = Median(seconds) * 1e6; });
  TryEmptyBlock();
  calls_->Call("cuEventQuery until all is freed",
               [&] { return calls_->Finish(streams_[0], events_[0]); });
}

void DriverProbe::TryBlock(int64_t size_bytes) {
  const std::string size = SizeName(size_bytes);
  CuDeviceAddress address = 0;
  if (!calls_->Call(absl::StrCat("cuMemAllocAsync(", size, ")"), [&] {
        return cuda().MemAllocAsync(&address, size_bytes, streams_[0]);
      })) {
    return;
  }
  calls_->Call(absl::StrCat("cuMemFreeAsync(", size, ")"),
               [&] { return cuda().MemFreeAsync(address, streams_[0]); });
}

// What the driver says to it is nowhere written.
void DriverProbe::TryEmptyBlock() {
  CuDeviceAddress address = 0;
  const CuResult result = calls_->Try("cuMemAllocAsync(0 bytes)", [&] {
    return cuda().MemAllocAsync(&address, 0, streams_[0]);
  });
  if (result != kCuSuccess || address == 0) return;
  calls_->Try("cuMemFreeAsync(0 bytes)",
              [&] { return cuda().MemFreeAsync(address, streams_[0]); });
}

void DriverProbe::TryCopies() {
  if (const std::string why = WhyNot(); !why.empty()) {
    report_.NotTried("cuMemHostAlloc", why);
    return;
  }
  if (!TakeBuffers()) {
    report_.NotTried("copies", "no pinned memory or no device memory");
    return;
  }
  if (!ComesBack()) return;
  for (const auto& [in, out] : {std::pair(true, false), std::pair(false, true),
                                std::pair(true, true)}) {
    for (const int64_t size_bytes : kCopyBytes) {
      if (!calls_->hung()) TimeCopy(in, out, size_bytes);
    }
  }
}

bool DriverProbe::TakeBuffers() {
  bool taken = true;
  const std::string size = SizeName(kBufferBytes);
  for (void*& memory : host_) {
    taken &= calls_->Call(absl::StrCat("cuMemHostAlloc(", size, ")"), [&] {
      return cuda().MemHostAlloc(&memory, kBufferBytes, 0);
    });
  }
  for (CuDeviceAddress& memory : memory_) {
    taken &= calls_->Call(
        absl::StrCat("cuMemAllocAsync(", size, "), to be kept"), [&] {
          return cuda().MemAllocAsync(&memory, kBufferBytes, streams_[0]);
        });
  }
  // Before the other stream uses it.
  taken &= calls_->Call("cuEventQuery until the memory is there", [&] {
    return calls_->Finish(streams_[0], events_[0]);
  });
  return taken;
}

bool DriverProbe::ComesBack() {
  auto* const sent = static_cast<uint32_t*>(host_[0]);
  constexpr int64_t kNumWords = kBufferBytes / sizeof(uint32_t);
  for (int64_t i = 0; i < kNumWords; ++i) {
    sent[i] = static_cast<uint32_t>(i) * 2654435761u + 1;
  }
  std::memset(host_[1], 0, kBufferBytes);
  return calls_->Call(
      absl::StrCat(SizeName(kBufferBytes), " to the device and back"),
      [&] {
        CuResult result = cuda().MemcpyHtoDAsync(memory_[0], host_[0],
                                                 kBufferBytes, streams_[0]);
        if (result == kCuSuccess) {
          result = cuda().MemcpyDtoHAsync(host_[1], memory_[0], kBufferBytes,
                                          streams_[0]);
        }
        return result == kCuSuccess ? calls_->Finish(streams_[0], events_[0])
                                    : result;
      },
      [&](ProbeRow& row) {
        if (std::memcmp(host_[0], host_[1], kBufferBytes) != 0) {
          row.Fail("other bytes came back");
        }
      });
}

// On the host's clock: a small copy costs what its call costs.
void DriverProbe::TimeCopy(bool in, bool out, int64_t size_bytes) {
  const int repetitions =
      static_cast<int>(std::clamp<int64_t>(kBufferBytes / size_bytes, 2, 100));
  std::vector<double> seconds;
  calls_->Call(
      absl::StrCat(in && out ? "cuMemcpyHtoDAsync and cuMemcpyDtoHAsync at once"
                   : in      ? "cuMemcpyHtoDAsync"
                             : "cuMemcpyDtoHAsync",
                   ", ", SizeName(size_bytes)),
      [&] {
        CuResult result = Copy(in, out, size_bytes, 1);
        for (int block = 0; block < 3 && result == kCuSuccess; ++block) {
          const Clock::time_point start = Clock::now();
          result = Copy(in, out, size_bytes, repetitions);
          seconds.push_back(SecondsSince(start) / repetitions);
        }
        return result;
      },
      [&](ProbeRow& row) {
        const double median = Median(seconds);
        row.found["us"] = median * 1e6;
        // In each direction.
        row.found["gb_per_s"] = static_cast<double>(size_bytes) / median / 1e9;
      });
}

CuResult DriverProbe::Copy(bool in, bool out, int64_t size_bytes,
                           int repetitions) {
  CuResult result = kCuSuccess;
  for (int i = 0; i < repetitions && result == kCuSuccess; ++i) {
    if (in) {
      result =
          cuda().MemcpyHtoDAsync(memory_[0], host_[0], size_bytes, streams_[0]);
    }
    if (out && result == kCuSuccess) {
      result =
          cuda().MemcpyDtoHAsync(host_[1], memory_[1], size_bytes, streams_[1]);
    }
  }
  for (int s = 0; s < 2 && result == kCuSuccess; ++s) {
    result = cuda().EventRecord(events_[s], streams_[s]);
  }
  for (int s = 0; s < 2 && result == kCuSuccess; ++s) {
    result = calls_->Wait(events_[s]);
  }
  return result;
}

DriverProbe::Code DriverProbe::FindCode(const LoweredProgram& program) {
  absl::StatusOr<std::unique_ptr<Nvrtc>> nvrtc = Nvrtc::Open();
  report_.Record("dlopen of NVRTC", [&](ProbeRow& row) {
    if (nvrtc.ok()) {
      row.found["library"] = (*nvrtc)->path();
      row.found["version"] = (*nvrtc)->version();
    } else if (options_.pack.empty()) {
      row.Fail(nvrtc.status().message());
    } else {
      row.Inform(nvrtc.status().message());
    }
  });
  if (!options_.pack.empty()) {
    report_.Record("the pack", [&](ProbeRow& row) {
      auto opened = SassPack::Open(options_.pack);
      if (opened.ok()) {
        pack_ = *std::move(opened);
        row.found["file"] = pack_->path();
        row.found["nvrtc"] = pack_->nvrtc_version();
      } else {
        row.Fail(opened.status().message());
      }
    });
  }
  if (!nvrtc.ok() && pack_ == nullptr) return std::nullopt;
  const bool compiles = nvrtc.ok();
  Code found;
  report_.Record(
      compiles ? "compilation of relu" : "relu from the pack",
      [&](ProbeRow& row) {
        absl::StatusOr<std::unique_ptr<SassBuilder>> builder =
            SassBuilder::Create({compiles ? nullptr : pack_,
                                 /*cache=*/nullptr, std::move(nvrtc)},
                                architecture_);
        absl::Status status = builder.status();
        if (status.ok()) {
          status = (*builder)->Build(EmitCuda(program, CudaPart::kProgram),
                                     [&](const SassPack::Code& code) {
                                       row.found["architecture"] = absl::StrCat(
                                           "sm_", code.architecture);
                                       row.found["bytes"] = code.cubin.size();
                                       found = code.cubin;
                                       return absl::OkStatus();
                                     });
        }
        if (!status.ok()) row.Fail(status.message());
      });
  return found;
}

void DriverProbe::TryKernel() {
  const absl::StatusOr<LoweredProgram> program = LowerRelu();
  if (!program.ok()) {
    report_.NotTried("cuLaunchKernel", program.status().message());
    return;
  }
  const Code code = FindCode(*program);
  const char* const lacking = !code.has_value() ? "there is no code for it"
                              : memory_[0] == 0 || memory_[1] == 0
                                  ? "no device memory"
                                  : nullptr;
  if (const std::string why = WhyNot(); !why.empty() || lacking != nullptr) {
    report_.NotTried("cuModuleLoadData", why.empty() ? lacking : why);
    report_.NotTried("cuLaunchKernel", why.empty() ? lacking : why);
    return;
  }
  CuFunction function = nullptr;
  if (!calls_->Call(
          "cuModuleLoadData",
          [&] { return cuda().ModuleLoadData(&module_, code->data()); }) ||
      !calls_->Call("cuModuleGetFunction", [&] {
        return cuda().ModuleGetFunction(&function, module_,
                                        KernelEntryName(KernelEntry::kRun));
      })) {
    report_.NotTried("cuLaunchKernel", "its code was not loaded");
    return;
  }
  LaunchSegment segment;
  segment.num_elements = kReluElements;
  segment.inputs = {memory_[0]};
  segment.outputs = {memory_[1]};
  const absl::StatusOr<PackedLaunch> launch =
      PackLaunch(LaunchLayout(*program), KernelEntry::kRun,
                 absl::MakeConstSpan(&segment, 1), {});
  if (!launch.ok()) {
    report_.NotTried("cuLaunchKernel", launch.status().message());
    return;
  }
  if (RunKernel(function, *launch)) TimeLaunches(function, *launch);
  if (calls_->hung()) return;
  calls_->Call("cuFuncSetAttribute(MAX_DYNAMIC_SHARED_SIZE_BYTES)", [&] {
    return cuda().FuncSetAttribute(function, kCuMaxDynamicSharedBytes,
                                   max_shared_bytes_);
  });
}

CuResult DriverProbe::Launch(CuFunction function, const PackedLaunch& launch) {
  // The driver copies the argument before it returns; it does not write to it.
  void* parameters[] = {const_cast<uint64_t*>(launch.argument.data())};
  return cuda().LaunchKernel(function, static_cast<unsigned>(launch.grid), 1, 1,
                             static_cast<unsigned>(launch.block), 1, 1,
                             static_cast<unsigned>(launch.shared_bytes),
                             streams_[0], parameters, nullptr);
}

// The host's copies are pageable, as a call with them may wait for all work
// before it: so they are made only when that is done.
bool DriverProbe::RunKernel(CuFunction function, const PackedLaunch& launch) {
  const std::vector<float> inputs = ReluInputs();
  std::vector<float> outputs(kReluElements);
  std::vector<uint32_t> poison(kReluElements, kPoison);
  constexpr size_t kSizeBytes = kReluElements * sizeof(float);
  if (!calls_->Call("cuMemcpyHtoDAsync of a kernel's input", [&] {
        CuResult result = cuda().MemcpyHtoDAsync(memory_[0], inputs.data(),
                                                 kSizeBytes, streams_[0]);
        if (result == kCuSuccess) {
          result = cuda().MemcpyHtoDAsync(memory_[1], poison.data(), kSizeBytes,
                                          streams_[0]);
        }
        return result == kCuSuccess ? calls_->Finish(streams_[0], events_[0])
                                    : result;
      })) {
    return false;
  }
  if (!calls_->Call("cuLaunchKernel",
                    [&] { return Launch(function, launch); }) ||
      !calls_->Call("cuEventQuery until the kernel is done",
                    [&] { return calls_->Finish(streams_[0], events_[0]); })) {
    return false;
  }
  return calls_->Call(
      "cuMemcpyDtoHAsync of the kernel's output",
      [&] {
        const CuResult result = cuda().MemcpyDtoHAsync(
            outputs.data(), memory_[1], kSizeBytes, streams_[0]);
        return result == kCuSuccess ? calls_->Finish(streams_[0], events_[0])
                                    : result;
      },
      [&](ProbeRow& row) { CheckReluOutputs(outputs, row); });
}

void DriverProbe::TimeLaunches(CuFunction function,
                               const PackedLaunch& launch) {
  std::vector<double> seconds;
  calls_->Call(
      "cuLaunchKernel, 200 times",
      [&] {
        CuResult result = kCuSuccess;
        for (int i = 0; i < 200 && result == kCuSuccess; ++i) {
          const Clock::time_point start = Clock::now();
          result = Launch(function, launch);
          seconds.push_back(SecondsSince(start));
        }
        return result == kCuSuccess ? calls_->Finish(streams_[0], events_[0])
                                    : result;
      },
      [&](ProbeRow& row) { row.found["median_us"] = Median(seconds) * 1e6; });
  if (calls_->hung()) return;
  seconds.clear();
  calls_->Call(
      "cuLaunchKernel until it is done, 200 times",
      [&] {
        CuResult result = kCuSuccess;
        for (int i = 0; i < 200 && result == kCuSuccess; ++i) {
          const Clock::time_point start = Clock::now();
          result = Launch(function, launch);
          if (result == kCuSuccess) {
            result = calls_->Finish(streams_[0], events_[0]);
          }
          seconds.push_back(SecondsSince(start));
        }
        return result;
      },
      [&](ProbeRow& row) { row.found["median_us"] = Median(seconds) * 1e6; });
}

void DriverProbe::TryDevice() {
  if (const std::string why = WhyNot(); !why.empty()) {
    report_.NotTried("CudaDevice::Create", why);
    return;
  }
  CudaDevice::Options options;
  options.ordinal = options_.ordinal;
  options.pack = pack_;
  options.watchdog = options_.deadline;
  std::unique_ptr<CudaDevice> device;
  report_.Record("CudaDevice::Create", [&](ProbeRow& row) {
    absl::StatusOr<std::unique_ptr<CudaDevice>> created =
        CudaDevice::Create(options);
    if (created.ok()) {
      device = *std::move(created);
      row.found["description"] = device->description();
    } else {
      row.Fail(created.status().message());
      // What it refuses beforehand leaves no work behind.
      is_at_work_ = !absl::IsFailedPrecondition(created.status()) &&
                    !absl::IsResourceExhausted(created.status());
    }
  });
  if (device == nullptr) {
    report_.NotTried("CudaDevice::Run", "there is no device");
    return;
  }
  report_.Record("CudaDevice::Run", [&](ProbeRow& row) {
    const absl::StatusOr<std::vector<float>> outputs = RunRelu(*device);
    if (outputs.ok()) {
      CheckReluOutputs(*outputs, row);
    } else {
      row.Fail(outputs.status().message());
    }
  });
  is_at_work_ = !device->health().ok();
}

void DriverProbe::TearDown() {
  if (is_at_work_ || calls_->hung()) {
    report_.NotTried("giving all back", is_at_work_
                                            ? "the device may still be at work"
                                            : calls_->WhyHung());
    return;
  }
  if (module_ != nullptr) {
    calls_->Call("cuModuleUnload",
                 [&] { return cuda().ModuleUnload(module_); });
  }
  for (const CuDeviceAddress memory : memory_) {
    if (memory == 0) continue;
    calls_->Call("cuMemFreeAsync",
                 [&] { return cuda().MemFreeAsync(memory, streams_[0]); });
  }
  for (void* const memory : host_) {
    if (memory == nullptr) continue;
    calls_->Call("cuMemFreeHost", [&] { return cuda().MemFreeHost(memory); });
  }
  for (const CuEvent event : events_) {
    if (event == nullptr) continue;
    calls_->Call("cuEventDestroy", [&] { return cuda().EventDestroy(event); });
  }
  for (const CuStream stream : streams_) {
    if (stream == nullptr) continue;
    calls_->Call("cuStreamDestroy",
                 [&] { return cuda().StreamDestroy(stream); });
  }
  calls_->Call("cuDevicePrimaryCtxRelease",
               [&] { return cuda().DevicePrimaryCtxRelease(device_); });
}

}  // namespace actserve
