// Where and when programs run. Nothing else in the server knows.

#ifndef ACTSERVE_SERVER_SCHEDULING_SCHEDULER_H_
#define ACTSERVE_SERVER_SCHEDULING_SCHEDULER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "kernels/device/device.h"
#include "server/scheduling/batch_queue.h"
#include "server/scheduling/clock.h"
#include "server/scheduling/striped_counter.h"

namespace actserve {

// What a scheduler has done since it was made, and what it does right now.
struct SchedulerCounters {
  // Computed on the thread that submitted them.
  int64_t num_inline_jobs = 0;
  // Taken from the queue and computed.
  int64_t num_queued_jobs = 0;
  // Device::Run() calls for the latter, those for its failures not counted.
  int64_t num_batches = 0;
  // Histogram by power of two: element i counts batches of 2^i to
  // 2^(i + 1) - 1 jobs; the last element also counts larger ones.
  std::array<int64_t, 11> batch_sizes = {};
  // From Submit() until a batch took the job: the sum, and the longest.
  absl::Duration queue_wait;
  absl::Duration max_queue_wait;
  // Not computed: no room in the queue; its deadline passed; cancelled.
  int64_t num_refused = 0;
  int64_t num_expired = 0;
  int64_t num_cancelled = 0;
  // The device returned an error for it.
  int64_t num_failed = 0;
  // Device::Run() calls that found out which of a failed batch failed.
  int64_t num_reruns = 0;

  int num_waiting = 0;
  int64_t waiting_bytes = 0;
  int num_running_batches = 0;
};

// Runs small jobs at once on the caller's thread, if the device is such that
// this is faster, and queues the others for threads of its own: what waits
// while the device is busy runs next, in batches of one program. The queue is
// bounded, and fair to callers (see BatchQueue).
//
// A batch changes no result and fails no neighbour: if the device refuses it,
// the batch is split in half and rerun until the failing jobs are isolated.
//
// Thread-safe.
class Scheduler {
 public:
  struct Options {
    // Batches on the device at once.
    int max_running_batches = 2;
    // At least as many. More of them can hand out results while the device
    // computes the next.
    int num_threads = 2;
    BatchQueue::Limits queue;
    // Jobs of at most this size run on the thread that submits them, unless
    // their program is long: the bytes take gRPC longer than a program of
    // usual length, and the wake-up of another thread costs a tenth of it.
    // -1: none, for a device that is better fed in batches.
    int64_t inline_bytes = int64_t{4} << 20;
  };

  struct Outcome {
    absl::Status status;
    // From Submit() until it was taken to be computed. What came then is in
    // WorkItem::stages.
    absl::Duration queue;
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

    // Whom to be fair to: equal for all jobs of one caller. Called if the job
    // must wait, by Submit().
    virtual uint64_t caller() const = 0;

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

  // `may_run_inline`: whether this thread may be kept for a small job.
  // Done() may be called before this returns, and for jobs that give way to
  // this one too.
  void Submit(Job* job, bool may_run_inline);

  SchedulerCounters counters() const;

 private:
  // What a thread works on at one time. jobs[i] has outcomes[i].
  struct Batch {
    std::vector<Job*> jobs;
    std::vector<Outcome> outcomes;
    absl::Time taken;
    SchedulerCounters counted;
  };

  bool IsQuick(const Job& job) const;
  void RunInline(Job* job);
  void Work();
  // Waits for it. Empty if there will be none any more.
  Batch TakeBatch();
  void Run(Batch& batch);
  // Both return how often the device was asked.
  int64_t RunTogether(absl::Span<Job* const> jobs,
                      absl::Span<absl::Status* const> statuses);
  int64_t RunApart(const Program& program, absl::Span<WorkItem> items,
                   absl::Span<absl::Status* const> statuses);
  void Finish(const Batch& batch);

  const Options options_;
  Device* const device_;
  const Clock* const clock_;
  // Not under the lock, which such jobs do not take.
  StripedCounter num_inline_jobs_;

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
