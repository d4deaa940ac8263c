// Where and when programs run. Nothing else in the server knows: a scheduler
// that groups requests would be another Executor behind the same Submit().

#ifndef ACTSERVE_SERVER_EXECUTOR_H_
#define ACTSERVE_SERVER_EXECUTOR_H_

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "kernels/device/device.h"
#include "server/clock.h"
#include "server/worker_pool.h"

namespace actserve {

// Runs small jobs at once on the caller's thread and queues large ones for
// threads of its own. The queue is bounded in count and in bytes.
//
// Thread-safe.
class Executor {
 public:
  struct Options {
    int num_threads = 2;
    // Waiting, not counting those that run.
    int max_queued = 1024;
    int64_t max_queued_bytes = int64_t{1} << 30;
    // Jobs of at most this size run on the thread that submits them, unless
    // their program is long: the bytes take gRPC longer than a program of
    // usual length, and the wake-up of another thread costs a tenth of it.
    int64_t inline_bytes = int64_t{4} << 20;
  };

  struct Outcome {
    absl::Status status;
    // From Submit() to the start, and from there to the end.
    absl::Duration queue;
    absl::Duration compute;
  };

  // One request's work. The caller owns it and fills it in; it must live
  // until Done().
  class Job {
   public:
    std::shared_ptr<const Program> program;
    WorkItem item;
    // Bytes that the program reads and writes.
    int64_t size_bytes = 0;
    // Not started after it.
    absl::Time deadline = absl::InfiniteFuture();

    // Whether nobody wants the result any more: then it is not started. Called
    // from any thread, and never after Done().
    virtual bool IsCancelled() const = 0;

    // Called once, when the job will not be touched again:
    //   OK                 `item` holds the result
    //   DeadlineExceeded   it did not start in time
    //   Cancelled          it was cancelled before it started
    //   ResourceExhausted  the queue is full: back off
    // and what Device::Run() returns.
    virtual void Done(const Outcome& outcome) = 0;

   protected:
    virtual ~Job() = default;

   private:
    friend class Executor;
    absl::Time submitted_;
  };

  // `device` must outlive this object.
  Executor(const Options& options, Device* device, const Clock* clock);

  // Runs every accepted job, then returns.
  ~Executor();

  // `may_run_inline`: whether this thread may be kept for a small job.
  // Done() may be called before this returns.
  void Submit(Job* job, bool may_run_inline);

 private:
  bool IsQuick(const Job& job) const;
  void Run(Job* job);

  const Options options_;
  Device* const device_;
  const Clock* const clock_;
  absl::Mutex mu_;
  int64_t queued_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  WorkerPool pool_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_EXECUTOR_H_
