#include "kernels/device/cuda/driver/cuda_context.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

// A thread that sleeps wakes some 60 microseconds later, as long as a small
// batch takes; after a few of those it has waited for something large.
constexpr absl::Duration kSpin = absl::Microseconds(200);
constexpr absl::Duration kSleep = absl::Microseconds(50);

// Errors after which the context, and often the device, refuses all calls:
// only a new process helps.
bool IsFatal(CuResult result) {
  switch (result) {
    case kCuDeinitialized:
    case kCuEccUncorrectable:
    case kCuNvlinkUncorrectable:
    case kCuContained:
    case kCuIllegalAddress:
    case kCuLaunchTimeout:
    case kCuContextIsDestroyed:
    case kCuAssert:
    case kCuTensorMemoryLeak:
    case kCuUnknown:
      return true;
    default:
      // Faults of the instruction that ran: stack, opcode, alignment, address
      // space, counter, launch.
      return result >= kCuHardwareStackError && result <= kCuLaunchFailed;
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<CudaContext>> CudaContext::Create(
    std::shared_ptr<const CudaDriver> driver, const Options& options) {
  const int num_devices = driver->num_devices();
  if (options.ordinal < 0 || options.ordinal >= num_devices) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cuda:", options.ordinal, ": the machine has ", num_devices,
        " CUDA device", num_devices == 1 ? "" : "s", ", counted from 0"));
  }
  if (options.watchdog <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("watchdog ", absl::FormatDuration(options.watchdog),
                     ": want more than 0"));
  }
  std::shared_ptr<CudaContext> context(
      new CudaContext(std::move(driver), options));
  ACTSERVE_RETURN_IF_ERROR(context->Start());
  return context;
}

CudaContext::~CudaContext() {
  // The driver may wait for ever for a device that is lost.
  if (context_ != nullptr && !lost()) cuda().DevicePrimaryCtxRelease(device_);
}

absl::StatusOr<int> CudaContext::Attribute(CuDeviceAttribute attribute) {
  int value = 0;
  ACTSERVE_RETURN_IF_ERROR(
      Check("cuDeviceGetAttribute",
            cuda().DeviceGetAttribute(&value, attribute, device_)));
  return value;
}

absl::Status CudaContext::Start() {
  absl::Status status =
      Check("cuDeviceGet", cuda().DeviceGet(&device_, options_.ordinal));
  if (!status.ok()) return status;
  char model[256] = {};
  size_t total_bytes = 0;
  status.Update(Check("cuDeviceGetName",
                      cuda().DeviceGetName(model, sizeof(model) - 1, device_)));
  status.Update(
      Check("cuDeviceTotalMem", cuda().DeviceTotalMem(&total_bytes, device_)));
  status.Update(
      Check("cuDeviceGetUuid", cuda().DeviceGetUuid(&uuid_, device_)));
  const absl::StatusOr<int> major = Attribute(kCuComputeCapabilityMajor);
  const absl::StatusOr<int> minor = Attribute(kCuComputeCapabilityMinor);
  const absl::StatusOr<int> processors = Attribute(kCuMultiprocessorCount);
  const absl::StatusOr<int> shared = Attribute(kCuMaxSharedBytesPerBlockOptin);
  const absl::StatusOr<int> pools = Attribute(kCuMemoryPoolsSupported);
  for (const absl::StatusOr<int>* fact :
       {&major, &minor, &processors, &shared, &pools}) {
    status.Update(fact->status());
  }
  if (!status.ok()) return status;

  architecture_ = *major * 10 + *minor;
  num_multiprocessors_ = *processors;
  max_shared_bytes_ = *shared;
  description_ =
      absl::StrCat(model, ", sm_", architecture_, ", ", num_multiprocessors_,
                   " multiprocessors, ", total_bytes >> 30, " GiB, driver ",
                   CudaDriver::VersionName(driver_->version()));
  if (architecture_ < kMinArchitecture) {
    return absl::FailedPreconditionError(
        absl::StrCat(name(), " (", description_, "): want sm_",
                     kMinArchitecture, " or newer"));
  }
  if (*pools == 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        name(), " (", description_, "): the device has no memory pools"));
  }
  return Check("cuDevicePrimaryCtxRetain",
               cuda().DevicePrimaryCtxRetain(&context_, device_));
}

std::string CudaContext::name() const {
  return absl::StrCat("cuda:", options_.ordinal);
}

absl::Status CudaContext::Enter() {
  if (lost()) return health();
  return Check("cuCtxSetCurrent", cuda().CtxSetCurrent(context_));
}

absl::Status CudaContext::Check(const char* call, CuResult result) {
  if (result == kCuSuccess) return absl::OkStatus();
  const std::string text = driver_->ErrorText(call, result);
  if (IsFatal(result)) return Lose(text);
  if (lost()) return health();
  if (result == kCuOutOfMemory) {
    return absl::ResourceExhaustedError(
        absl::StrCat(name(), ": out of device memory: ", text));
  }
  return absl::InternalError(absl::StrCat(name(), ": ", text));
}

absl::Status CudaContext::Wait(CuEvent event) {
  const absl::Duration longest_step = options_.watchdog / 100;
  absl::Duration waited;
  // A steady clock: a jump of the wall's must not end the process. It jumps too
  // while the process or its machine is stopped, so a step counts for little.
  auto before = std::chrono::steady_clock::now();
  for (;;) {
    if (lost()) return health();
    const CuResult result = cuda().EventQuery(event);
    if (result != kCuNotReady) return Check("cuEventQuery", result);
    const auto now = std::chrono::steady_clock::now();
    waited += std::min(absl::FromChrono(now - before), longest_step);
    before = now;
    if (waited > options_.watchdog) {
      return Lose(absl::StrCat("a kernel did not end in ",
                               absl::FormatDuration(options_.watchdog)));
    }
    if (waited > kSpin) absl::SleepFor(kSleep);
  }
}

absl::Status CudaContext::Lose(const std::string& reason) {
  absl::Status health;
  Device::LostCallback callback;
  {
    absl::MutexLock lock(&mutex_);
    if (health_.ok()) {
      health_ =
          absl::UnavailableError(absl::StrCat(name(), " is lost: ", reason));
      is_lost_.store(true, std::memory_order_release);
      callback = std::move(on_lost_);
    }
    health = health_;
  }
  if (callback) callback(health);
  return health;
}

absl::Status CudaContext::health() const {
  absl::MutexLock lock(&mutex_);
  return health_;
}

void CudaContext::OnLost(Device::LostCallback lost) {
  absl::Status health;
  {
    absl::MutexLock lock(&mutex_);
    if (health_.ok()) {
      on_lost_ = std::move(lost);
      return;
    }
    health = health_;
  }
  lost(health);
}

}  // namespace actserve
