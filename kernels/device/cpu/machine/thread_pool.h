#ifndef ACTSERVE_KERNELS_DEVICE_CPU_MACHINE_THREAD_POOL_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_MACHINE_THREAD_POOL_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace actserve {

// Splits loops over a fixed set of threads. The calling thread works too, so a
// pool of one thread has no thread of its own and runs everything inline.
//
// Thread-safe: several callers share the workers, in the order in which they
// come.
class ThreadPool {
 public:
  // `num_threads` >= 1, the caller's included. For `spin` after a loop its
  // workers, and its caller, look for what comes next without sleeping: waking
  // a thread takes as long as 30,000 elements of a cheap function.
  explicit ThreadPool(int num_threads,
                      absl::Duration spin = absl::ZeroDuration());
  // No ParallelFor() may be in progress.
  ~ThreadPool();

  // Whether the workers are awake, so that a short loop is worth sharing with
  // them. If they sleep though this was asked less than `spin` ago, they are
  // woken for the next one.
  bool IsAwake();

  int num_threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls `task(i)` once for each i in [0, num_tasks), in no order, and
  // returns when all have returned.
  void ParallelFor(int64_t num_tasks, absl::FunctionRef<void(int64_t)> task);

 private:
  struct Loop;

  void WorkerMain();
  // Returns once `condition` is true, or after spin_.
  void SpinUntil(absl::FunctionRef<bool()> condition) const;

  const absl::Duration spin_;
  // Loops that were begun.
  std::atomic<int64_t> num_loops_ = 0;
  // Workers that do not sleep.
  std::atomic<int> num_awake_ = 0;
  std::atomic<int64_t> last_asked_nanos_ = 0;
  absl::Mutex mutex_;
  // Workers to wake without a loop.
  int num_called_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<std::shared_ptr<Loop>> loops_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> workers_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_MACHINE_THREAD_POOL_H_
