#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_RUN_STAGING_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_RUN_STAGING_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "kernels/device/cuda/driver/cuda_context.h"

namespace actserve {

// Pinned memory that the copy engines read and write, and a stream that copies
// in, computes and copies out in this order. Work in different slots overlaps.
struct StagingSlot {
  std::byte* in = nullptr;   // size_bytes() of the ring
  std::byte* out = nullptr;  // likewise
  CuStream stream = nullptr;
  // In this order around the three stages; all but the last for their times.
  CuEvent begin = nullptr;
  CuEvent copied_in = nullptr;
  CuEvent computed = nullptr;
  CuEvent done = nullptr;
  // For SlicedCopy: after the last copy from or to either memory.
  CuEvent in_copied = nullptr;
  CuEvent out_copied = nullptr;
};

// A fixed number of slots, shared by all runs on one device. Pinned memory is
// scarce and slow to get, so the ring takes all of it when it is made.
//
// Thread-safe.
class StagingRing {
 public:
  //   InvalidArgument    num_slots < 1
  //   ResourceExhausted  so much memory cannot be pinned
  static absl::StatusOr<std::unique_ptr<StagingRing>> Create(
      std::shared_ptr<CudaContext> context, int num_slots, int64_t size_bytes);
  // Every slot must have been released.
  ~StagingRing();

  int num_slots() const { return static_cast<int>(slots_.size()); }
  int64_t size_bytes() const { return size_bytes_; }

  // Returns a slot whose earlier work is done. Acquire() waits for one and is
  // only for callers that hold none; a caller that holds slots must use
  // TryAcquire(), which returns nullptr instead, so that no two callers wait
  // for each other.
  StagingSlot* Acquire();
  StagingSlot* TryAcquire();
  void Release(StagingSlot* slot);

 private:
  StagingRing(std::shared_ptr<CudaContext> context, int64_t size_bytes)
      : context_(std::move(context)), size_bytes_(size_bytes) {}

  absl::Status AddSlot();
  bool HasFree() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return !free_.empty();
  }
  StagingSlot* Pop() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<CudaContext> context_;
  const int64_t size_bytes_;
  std::vector<std::unique_ptr<StagingSlot>> slots_;
  absl::Mutex mutex_;
  std::vector<StagingSlot*> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_RUN_STAGING_H_
