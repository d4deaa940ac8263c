#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_DRIVER_HEARTBEAT_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_DRIVER_HEARTBEAT_H_

#include <cstdint>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "kernels/device/cuda/driver/cuda_context.h"

namespace actserve {

// Asks a GPU every `interval` whether it still answers, so that one that fails
// while nothing runs is found too: an event goes to the GPU and back. An error,
// or no answer within the context's watchdog, makes the context lose its
// device.
//
// A call to the driver of a failing GPU may never return. So a second thread,
// which never calls the driver, watches the first.
class Heartbeat {
 public:
  static constexpr absl::Duration kInterval = absl::Milliseconds(250);

  //   ResourceExhausted, Unavailable, Internal  as CudaContext::Check()
  static absl::StatusOr<std::unique_ptr<Heartbeat>> Start(
      std::shared_ptr<CudaContext> context,
      absl::Duration interval = kInterval);
  // Waits for a call to the driver that is in progress.
  ~Heartbeat();

 private:
  Heartbeat(std::shared_ptr<CudaContext> context, absl::Duration interval)
      : context_(std::move(context)), interval_(interval) {}

  absl::Status MakeEvent();
  absl::Status Beat();
  void Ask();
  void Watch();
  // Returns whether the heartbeat goes on.
  bool Sleep(absl::Duration duration) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<CudaContext> context_;
  const absl::Duration interval_;
  CuStream stream_ = nullptr;
  CuEvent event_ = nullptr;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_asking_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t num_beats_ ABSL_GUARDED_BY(mutex_) = 0;
  std::thread asking_;
  std::thread watching_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_DRIVER_HEARTBEAT_H_
