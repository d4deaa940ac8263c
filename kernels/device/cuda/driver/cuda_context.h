#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_DRIVER_CUDA_CONTEXT_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_DRIVER_CUDA_CONTEXT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "kernels/device/cuda/driver/driver.h"
#include "kernels/device/device.h"

namespace actserve {

// One GPU, shared by all parts of CudaDevice: its context, its properties, and
// whether it is lost. Check() sees the result of every driver call. After an
// error that makes the driver refuse everything, the device is lost, and
// nothing calls the driver again, because it might not return.
//
// Thread-safe.
class CudaContext {
 public:
  struct Options {
    int ordinal = 0;
    // How long work may run before its kernel counts as hung. Time in which
    // this process did not run counts for a hundredth of it at most.
    absl::Duration watchdog = absl::Seconds(10);
  };
  // The oldest compute capability that today's NVRTC compiles for: 7.5.
  static constexpr int kMinArchitecture = 75;

  //   InvalidArgument     no device of this ordinal; a watchdog <= 0
  //   FailedPrecondition  a device too old, or without memory pools
  //   Internal            the driver refused
  static absl::StatusOr<std::shared_ptr<CudaContext>> Create(
      std::shared_ptr<const CudaDriver> driver, const Options& options);
  ~CudaContext();

  const CuFunctions& cuda() const { return driver_->functions(); }
  CuDevice device() const { return device_; }
  std::string name() const;  // "cuda:0"
  // "NVIDIA H100 80GB HBM3, sm_90, 132 multiprocessors, 79 GiB, driver 13.0"
  const std::string& description() const { return description_; }
  int architecture() const { return architecture_; }  // 90
  int num_multiprocessors() const { return num_multiprocessors_; }
  int64_t max_shared_bytes() const { return max_shared_bytes_; }
  // Which GPU it is, to any process: 16 bytes.
  absl::string_view uuid() const { return {uuid_.bytes, sizeof(uuid_.bytes)}; }

  // Makes the context current on the calling thread; call it before any other.
  //   Unavailable  the device is lost
  absl::Status Enter();

  // Returns OK for kCuSuccess. `call` is the name of the driver's function.
  //   ResourceExhausted  out of memory
  //   Unavailable        the device is lost, by this error perhaps
  //   Internal           anything else (our bug)
  absl::Status Check(const char* call, CuResult result);
  // "cuInit: CUDA_ERROR_NO_DEVICE (100)"
  std::string ErrorText(absl::string_view call, CuResult result) const {
    return driver_->ErrorText(call, result);
  }

  // Waits until the work before `event` is done. A short wait spins.
  //   Unavailable  the device is lost, by the watchdog perhaps
  absl::Status Wait(CuEvent event);

  // Declares the device lost, unless it is already, and returns health().
  absl::Status Lose(const std::string& reason);

  absl::Duration watchdog() const { return options_.watchdog; }

  void CountLaunch() { num_launches_.fetch_add(1, std::memory_order_relaxed); }
  int64_t num_launches() const { return num_launches_.load(); }

  bool lost() const { return is_lost_.load(std::memory_order_acquire); }
  absl::Status health() const;
  void OnLost(Device::LostCallback lost);

 private:
  CudaContext(std::shared_ptr<const CudaDriver> driver, const Options& options)
      : driver_(std::move(driver)), options_(options) {}

  absl::Status Start();
  absl::StatusOr<int> Attribute(CuDeviceAttribute attribute);

  const std::shared_ptr<const CudaDriver> driver_;
  const Options options_;
  CuDevice device_ = 0;
  CuContext context_ = nullptr;
  std::string description_;
  int architecture_ = 0;
  int num_multiprocessors_ = 0;
  int64_t max_shared_bytes_ = 0;
  CuUuid uuid_ = {};

  std::atomic<int64_t> num_launches_ = 0;
  std::atomic<bool> is_lost_ = false;
  mutable absl::Mutex mutex_;
  absl::Status health_ ABSL_GUARDED_BY(mutex_);
  Device::LostCallback on_lost_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_DRIVER_CUDA_CONTEXT_H_
