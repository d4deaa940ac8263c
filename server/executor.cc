#include "server/executor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace actserve {
namespace {

// About half a millisecond of one thread.
constexpr int64_t kMaxInlineOperations = int64_t{32} << 20;

Executor::Outcome Refused(absl::Status status) {
  Executor::Outcome outcome;
  outcome.status = std::move(status);
  return outcome;
}

}  // namespace

Executor::Executor(const Options& options, Device* device, const Clock* clock)
    : options_(options),
      device_(device),
      clock_(clock),
      pool_(options.num_threads, options.max_queued) {}

Executor::~Executor() = default;

void Executor::Submit(Job* job, bool may_run_inline) {
  job->submitted_ = clock_->Now();
  if (may_run_inline && IsQuick(*job)) return Run(job);
  const int64_t size_bytes = job->size_bytes;
  bool accepted = false;
  {
    absl::MutexLock lock(&mu_);
    if (size_bytes <= options_.max_queued_bytes - queued_bytes_) {
      queued_bytes_ += size_bytes;
      accepted = true;
    }
  }
  if (!accepted) {
    return job->Done(Refused(absl::ResourceExhaustedError(
        absl::StrCat("the work that waits would exceed ",
                     options_.max_queued_bytes, " bytes, the limit"))));
  }
  const auto release = [this, size_bytes] {
    absl::MutexLock lock(&mu_);
    queued_bytes_ -= size_bytes;
  };
  accepted = pool_.Submit([this, job, release] {
    release();
    Run(job);
  });
  if (!accepted) {
    release();
    job->Done(Refused(absl::ResourceExhaustedError(
        absl::StrCat(options_.max_queued, " jobs wait, the limit"))));
  }
}

bool Executor::IsQuick(const Job& job) const {
  return job.size_bytes <= options_.inline_bytes &&
         job.item.num_elements * job.program->lowered().weight <=
             kMaxInlineOperations;
}

void Executor::Run(Job* job) {
  const absl::Time start = clock_->Now();
  Outcome outcome;
  outcome.queue = start - job->submitted_;
  if (job->IsCancelled()) {
    outcome.status = absl::CancelledError("cancelled before it was computed");
  } else if (start >= job->deadline) {
    outcome.status =
        absl::DeadlineExceededError("deadline passed before it was computed");
  } else {
    outcome.status = device_->Run(*job->program, absl::MakeSpan(&job->item, 1));
    outcome.compute = clock_->Now() - start;
  }
  job->Done(outcome);
}

}  // namespace actserve
