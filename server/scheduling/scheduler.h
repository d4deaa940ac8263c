// Decides where and when programs run; no other part of the server does.

#ifndef ACTSERVE_SERVER_SCHEDULING_SCHEDULER_H_
#define ACTSERVE_SERVER_SCHEDULING_SCHEDULER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "kernels/device/device.h"
#include "server/metrics/bounds.h"
#include "server/metrics/striped_counter.h"
#include "server/metrics/striped_histogram.h"
#include "server/scheduling/batch_queue.h"
#include "server/scheduling/caller_id.h"
#include "server/scheduling/clock.h"

namespace actserve {

// Counts since the scheduler was made, and its present load.
struct SchedulerCounters {
  // Jobs computed on the thread that submitted them.
  int64_t num_inline_jobs = 0;
  // Jobs taken from the queue and computed.
  int64_t num_queued_jobs = 0;
  // Device::Run() calls for queued jobs, without the reruns of failed batches.
  int64_t num_batches = 0;
  // Histogram by power of two: element i counts batches of 2^i to
  // 2^(i + 1) - 1 jobs; the last element also counts larger ones.
  std::array<int64_t, 11> batch_sizes = {};
  // Time from Submit() until a batch took the job: the sum, and the longest.
  absl::Duration queue_wait;
  absl::Duration max_queue_wait;
  // Jobs that were not computed: the queue was full, the deadline passed, or
  // the job was cancelled.
  int64_t num_refused = 0;
  int64_t num_expired = 0;
  int64_t num_cancelled = 0;
  // Jobs for which the device returned an error.
  int64_t num_failed = 0;
  // Device::Run() calls that isolated the failing jobs of a batch.
  int64_t num_reruns = 0;

  int num_waiting = 0;
  int64_t waiting_bytes = 0;
  int num_running_batches = 0;
};

// Runs small jobs at once on the caller's thread if the device is faster that
// way, and queues the others for its own threads. Jobs that wait while the
// device is busy run next, in batches that share one program. The queue is
// bounded and fair to callers (see BatchQueue).
//
// Batching changes no result and spreads no failure: if the device refuses a
// batch, it is split in half and rerun until the failing jobs are isolated.
//
// Thread-safe.
class Scheduler {
 public:
  struct Options {
    // Limit on the batches running at once.
    int max_running_batches = 2;
    // Threads that run batches; at least max_running_batches. Further threads
    // hand out results while the device computes.
    int num_threads = 2;
    BatchQueue::Limits queue;
    // Jobs of at most this size run on the thread that submits them, unless
    // their program is long. gRPC needs longer for the bytes than a usual
    // program does, and waking another thread would add a tenth of that. -1:
    // none, for a device that is faster with batches.
    int64_t inline_bytes = int64_t{4} << 20;
  };

  struct Outcome {
    absl::Status status;
    // Time from Submit() until the job was taken to be computed.
    // WorkItem::stages has the times after that.
    absl::Duration queue;
    // The jobs that were computed together, this one included; 0 if it was not.
    int num_jobs = 0;
  };

  // The work of one request. The caller owns it and fills it in; it must live
  // until Done().
  class Job {
   public:
    std::shared_ptr<const Program> program;
    WorkItem item;
    // Bytes that the program reads and writes.
    int64_t size_bytes = 0;
    // The job does not start after this time.
    absl::Time deadline = absl::InfiniteFuture();

    // The caller to be fair to. Submit() calls it if the job must wait.
    virtual CallerId caller() const = 0;

    // Returns true if nobody wants the result any more; then the job does not
    // start. Called from any thread, and never after Done().
    virtual bool IsCancelled() const = 0;

    // Called once, when the scheduler has finished with the job:
    //   OK                 `item` holds the result
    //   DeadlineExceeded   it did not start in time
    //   Cancelled          it was cancelled before it started
    //   ResourceExhausted  the queue is full: back off
    // and what Device::Run() returns.
    virtual void Done(const Outcome& outcome) = 0;

   protected:
    virtual ~Job() = default;

   private:
    friend class Scheduler;
    struct Ticket : BatchQueue::QueuedJob {
      Job* job = nullptr;
    };
    Ticket ticket_;
  };

  // `device` and `clock` must outlive this object.
  Scheduler(const Options& options, Device* device, const Clock* clock);

  // Runs every accepted job, then returns. No Submit() may be in progress.
  ~Scheduler();

  // Takes `job`. With `may_run_inline`, a small job may run on this thread. May
  // call Done() before it returns, also for jobs that give way to this one.
  void Submit(Job* job, bool may_run_inline);

  // Runs `item` on this thread if it is small and the program short, as
  // Submit() may; `size_bytes` as of a Job. Returns what the device does;
  // nullopt, and has done nothing, otherwise.
  std::optional<absl::Status> RunHere(const Program& program,
                                      int64_t size_bytes, WorkItem* item);

  SchedulerCounters counters() const;

  // Of jobs that were queued, not of inline ones. All thread-safe.
  //
  // Time from Submit() until a batch took the job, in nanoseconds, by
  // kLatencyBounds.
  StripedHistogram::Snapshot queue_waits() const { return queue_waits_.Read(); }
  // Jobs of a batch, by kBatchRequestBounds, and its elements, by
  // kBatchElementBounds.
  StripedHistogram::Snapshot batch_jobs() const { return batch_jobs_.Read(); }
  StripedHistogram::Snapshot batch_elements() const {
    return batch_elements_.Read();
  }

 private:
  // The batch that a thread works on. jobs[i] has outcomes[i].
  struct Batch {
    std::vector<Job*> jobs;
    std::vector<Outcome> outcomes;
    absl::Time taken;
    SchedulerCounters counted;
  };

  bool IsQuick(const Program& program, int64_t num_elements,
               int64_t size_bytes) const;
  void CountFailure(const absl::Status& status);
  void RunInline(Job* job);
  void Work();
  // Waits for a batch. Returns an empty one if there will be none any more.
  Batch TakeBatch();
  void Run(Batch& batch);
  // Both return the number of Device::Run() calls.
  int64_t RunTogether(absl::Span<Job* const> jobs,
                      absl::Span<absl::Status* const> statuses);
  int64_t RunApart(const Program& program, absl::Span<WorkItem> items,
                   absl::Span<absl::Status* const> statuses);
  void Finish(const Batch& batch);

  const Options options_;
  Device* const device_;
  const Clock* const clock_;
  // Outside the lock, because inline jobs do not take it.
  StripedCounter num_inline_jobs_;
  StripedHistogram queue_waits_{kLatencyBounds};
  StripedHistogram batch_jobs_{kBatchRequestBounds};
  StripedHistogram batch_elements_{kBatchElementBounds};

  mutable absl::Mutex mu_;
  // Signalled when a thread may find something to do.
  absl::CondVar work_;
  BatchQueue queue_ ABSL_GUARDED_BY(mu_);
  int num_idle_threads_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  SchedulerCounters counters_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> threads_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SCHEDULING_SCHEDULER_H_
