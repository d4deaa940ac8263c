#include "server/scheduling/scheduler.h"

#include <algorithm>
#include <utility>

#include "kernels/base/failpoint.h"
#include "server/metrics/refusals.h"

namespace actserve {
namespace {

// About half a millisecond of one thread.
constexpr int64_t kMaxInlineOperations = int64_t{32} << 20;

// OK if `job` is to be computed.
absl::Status CheckWanted(const Scheduler::Job& job, absl::Time now) {
  if (job.IsCancelled()) {
    return absl::CancelledError("cancelled before it was computed");
  }
  if (now >= job.deadline) {
    return absl::DeadlineExceededError(
        "deadline passed before it was computed");
  }
  return absl::OkStatus();
}

void CountUnwanted(const absl::Status& why, SchedulerCounters* counters) {
  ++(absl::IsCancelled(why) ? counters->num_cancelled : counters->num_expired);
}

void CountDeviceRefusal(const absl::Status& status) {
  if (absl::IsResourceExhausted(status)) CountRefusal(Refusal::kDeviceMemory);
}

absl::Status RunOn(Device& device, const Program& program,
                   absl::Span<WorkItem> items) {
  if (ACTSERVE_FAILPOINT("device_error") != 0) {
    return absl::InternalError("failpoint: device_error");
  }
  return device.Run(program, items);
}

// The place of a batch in SchedulerCounters::batch_sizes.
size_t BucketOf(size_t num_jobs, size_t num_buckets) {
  size_t bucket = 0;
  while (num_jobs > 1 && bucket + 1 < num_buckets) {
    num_jobs /= 2;
    ++bucket;
  }
  return bucket;
}

// Adds the counts of a batch, or of a single job; leaves the present load
// alone.
void Add(const SchedulerCounters& more, SchedulerCounters* to) {
  to->num_queued_jobs += more.num_queued_jobs;
  to->num_batches += more.num_batches;
  for (size_t i = 0; i < more.batch_sizes.size(); ++i) {
    to->batch_sizes[i] += more.batch_sizes[i];
  }
  to->queue_wait += more.queue_wait;
  to->max_queue_wait = std::max(to->max_queue_wait, more.max_queue_wait);
  to->num_expired += more.num_expired;
  to->num_cancelled += more.num_cancelled;
  to->num_failed += more.num_failed;
  to->num_reruns += more.num_reruns;
}

}  // namespace

Scheduler::Scheduler(const Options& options, Device* device, const Clock* clock)
    : options_(options), device_(device), clock_(clock), queue_(options.queue) {
  threads_.reserve(options.num_threads);
  for (int i = 0; i < options.num_threads; ++i) {
    threads_.emplace_back([this] { Work(); });
  }
}

Scheduler::~Scheduler() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    queue_.StopDelaying();
    work_.SignalAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void Scheduler::Submit(Job* job, bool may_run_inline) {
  if (may_run_inline &&
      IsQuick(*job->program, job->item.num_elements, job->size_bytes)) {
    return RunInline(job);
  }
  BatchQueue::QueuedJob& ticket = job->ticket_;
  job->ticket_.job = job;
  ticket.program = job->program.get();
  ticket.caller = job->caller();
  ticket.num_elements = job->item.num_elements;
  ticket.size_bytes = job->size_bytes;
  ticket.submitted = clock_->Now();

  BatchQueue::Refusal refusal;
  {
    absl::MutexLock lock(&mu_);
    refusal = queue_.Push(&ticket);
    counters_.num_refused += static_cast<int64_t>(refusal.jobs.size());
    if (num_idle_threads_ > 0 &&
        counters_.num_running_batches < options_.max_running_batches) {
      work_.Signal();
    }
  }
  if (!refusal.jobs.empty()) {
    CountRefusal(Refusal::kQueue, static_cast<int64_t>(refusal.jobs.size()));
  }
  for (BatchQueue::QueuedJob* refused : refusal.jobs) {
    static_cast<Job::Ticket*>(refused)->job->Done({refusal.reason, {}});
  }
}

SchedulerCounters Scheduler::counters() const {
  absl::MutexLock lock(&mu_);
  SchedulerCounters counters = counters_;
  counters.num_inline_jobs = num_inline_jobs_.Sum();
  counters.num_waiting = queue_.num_queued();
  counters.waiting_bytes = queue_.queued_bytes();
  return counters;
}

bool Scheduler::IsQuick(const Program& program, int64_t num_elements,
                        int64_t size_bytes) const {
  return size_bytes <= options_.inline_bytes &&
         num_elements * program.weight() <= kMaxInlineOperations;
}

std::optional<absl::Status> Scheduler::RunHere(const Program& program,
                                               int64_t size_bytes,
                                               WorkItem* item) {
  if (!IsQuick(program, item->num_elements, size_bytes)) return std::nullopt;
  num_inline_jobs_.Increment();
  absl::Status status = RunOn(*device_, program, absl::MakeSpan(item, 1));
  if (!status.ok()) CountFailure(status);
  return status;
}

void Scheduler::CountFailure(const absl::Status& status) {
  CountDeviceRefusal(status);
  absl::MutexLock lock(&mu_);
  ++counters_.num_failed;
}

void Scheduler::RunInline(Job* job) {
  // Most calls have no deadline, and then the time does not matter.
  const absl::Time now = job->deadline == absl::InfiniteFuture()
                             ? absl::InfinitePast()
                             : clock_->Now();
  Outcome outcome{CheckWanted(*job, now), absl::ZeroDuration()};
  if (outcome.status.ok()) {
    num_inline_jobs_.Increment();
    outcome.num_jobs = 1;
    outcome.status =
        RunOn(*device_, *job->program, absl::MakeSpan(&job->item, 1));
    if (!outcome.status.ok()) CountFailure(outcome.status);
  } else {
    absl::MutexLock lock(&mu_);
    CountUnwanted(outcome.status, &counters_);
  }
  job->Done(outcome);
}

void Scheduler::Work() {
  for (Batch batch = TakeBatch(); !batch.jobs.empty(); batch = TakeBatch()) {
    Run(batch);
    Finish(batch);
    for (size_t i = 0; i < batch.jobs.size(); ++i) {
      batch.jobs[i]->Done(batch.outcomes[i]);
    }
  }
}

Scheduler::Batch Scheduler::TakeBatch() {
  Batch batch;
  std::vector<BatchQueue::QueuedJob*> queued;
  {
    absl::MutexLock lock(&mu_);
    while (true) {
      const bool may_run =
          counters_.num_running_batches < options_.max_running_batches;
      batch.taken = clock_->Now();
      if (may_run) queued = queue_.Pop(batch.taken);
      if (!queued.empty()) break;
      if (stopping_ && queue_.empty()) return batch;
      const absl::Time due =
          may_run ? queue_.NextDue() : absl::InfiniteFuture();
      ++num_idle_threads_;
      work_.WaitWithTimeout(&mu_, due - batch.taken);
      --num_idle_threads_;
    }
    ++counters_.num_running_batches;
  }
  batch.jobs.reserve(queued.size());
  for (BatchQueue::QueuedJob* ticket : queued) {
    batch.jobs.push_back(static_cast<Job::Ticket*>(ticket)->job);
  }
  return batch;
}

void Scheduler::Run(Batch& batch) {
  SchedulerCounters& counted = batch.counted;
  int64_t num_elements = 0;
  std::vector<Job*> jobs;
  std::vector<absl::Status*> statuses;
  batch.outcomes.resize(batch.jobs.size());
  for (size_t i = 0; i < batch.jobs.size(); ++i) {
    Job* job = batch.jobs[i];
    Outcome& outcome = batch.outcomes[i];
    outcome.queue = batch.taken - job->ticket_.submitted;
    queue_waits_.Observe(absl::ToInt64Nanoseconds(outcome.queue));
    counted.queue_wait += outcome.queue;
    counted.max_queue_wait = std::max(counted.max_queue_wait, outcome.queue);
    outcome.status = CheckWanted(*job, batch.taken);
    if (outcome.status.ok()) {
      num_elements += job->item.num_elements;
      jobs.push_back(job);
      statuses.push_back(&outcome.status);
    } else {
      CountUnwanted(outcome.status, &counted);
    }
  }
  if (jobs.empty()) return;
  for (Outcome& outcome : batch.outcomes) {
    if (outcome.status.ok()) outcome.num_jobs = static_cast<int>(jobs.size());
  }
  counted.num_queued_jobs = static_cast<int64_t>(jobs.size());
  counted.num_batches = 1;
  batch_jobs_.Observe(counted.num_queued_jobs);
  batch_elements_.Observe(num_elements);
  counted.batch_sizes[BucketOf(jobs.size(), counted.batch_sizes.size())] = 1;
  counted.num_reruns = RunTogether(jobs, statuses) - 1;
  for (const absl::Status* status : statuses) {
    counted.num_failed += !status->ok();
    CountDeviceRefusal(*status);
  }
}

int64_t Scheduler::RunTogether(absl::Span<Job* const> jobs,
                               absl::Span<absl::Status* const> statuses) {
  const Program& program = *jobs[0]->program;
  if (jobs.size() == 1) {
    return RunApart(program, absl::MakeSpan(&jobs[0]->item, 1), statuses);
  }
  std::vector<WorkItem> items;
  items.reserve(jobs.size());
  for (Job* job : jobs) items.push_back(std::move(job->item));
  const int64_t num_runs = RunApart(program, absl::MakeSpan(items), statuses);
  for (size_t i = 0; i < jobs.size(); ++i) {
    jobs[i]->item = std::move(items[i]);
  }
  return num_runs;
}

int64_t Scheduler::RunApart(const Program& program, absl::Span<WorkItem> items,
                            absl::Span<absl::Status* const> statuses) {
  const absl::Status status = RunOn(*device_, program, items);
  // A lost device does not come back for half of the work.
  if (status.ok() || items.size() == 1 || absl::IsUnavailable(status)) {
    for (absl::Status* of_item : statuses) *of_item = status;
    return 1;
  }
  const size_t half = items.size() / 2;
  return 1 + RunApart(program, items.first(half), statuses.first(half)) +
         RunApart(program, items.subspan(half), statuses.subspan(half));
}

void Scheduler::Finish(const Batch& batch) {
  absl::MutexLock lock(&mu_);
  --counters_.num_running_batches;
  Add(batch.counted, &counters_);
  if (!queue_.empty() && num_idle_threads_ > 0) work_.Signal();
}

}  // namespace actserve
