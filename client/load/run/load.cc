#include "client/load/run/load.h"

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "client/cpp/error_details.h"
#include "client/load/schedule/clock.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

// Sleeps that are longer can be interrupted.
constexpr int64_t kLongSleepNanos = 100'000'000;

// With these, the sleep ends when it should and not up to 50 us later.
void SetTimerSlack() { prctl(PR_SET_TIMERSLACK, 1); }

}  // namespace

absl::StatusOr<std::unique_ptr<Load>> Load::Start(Target& target,
                                                  const LoadPlan& plan,
                                                  const Options& options) {
  std::vector<int> trace_requests;
  for (const TraceEntry& entry : plan.trace) {
    ACTSERVE_ASSIGN_OR_RETURN(
        trace_requests.emplace_back(),
        FindRequest(target.spec().requests, entry.request));
  }
  std::unique_ptr<Load> load(
      new Load(target, plan, std::move(trace_requests), options));
  const int num_threads = plan.kind == LoadPlan::Kind::kClosed
                              ? plan.in_flight
                              : plan.max_in_flight;
  load->num_running_ = num_threads;
  for (int i = 0; i < num_threads; ++i) {
    load->threads_.emplace_back([raw = load.get()] { raw->Work(); });
  }
  return load;
}

Load::Load(Target& target, const LoadPlan& plan,
           std::vector<int> trace_requests, const Options& options)
    : target_(target),
      plan_(plan),
      options_(options),
      source_(plan_,
              Mix(target.spec().requests, target.spec().verify, options.seed),
              std::move(trace_requests), options.seed),
      recorder_(plan.kind == LoadPlan::Kind::kClosed
                    ? Recorder::Counts::kEnded
                    : Recorder::Counts::kIntended,
                options.first_nanos, options.window_nanos,
                static_cast<int>(target.spec().requests.size())) {}

Load::~Load() = default;

void Load::Stop(int64_t end_nanos) {
  recorder_.Close(end_nanos);
  {
    const std::lock_guard lock(stop_mutex_);
    end_nanos_ = end_nanos;
    stopped_ = true;
  }
  stop_changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  if (plan_.kind == LoadPlan::Kind::kClosed) return;
  while (const auto item = source_.Next()) {
    const int64_t intended = options_.start_nanos + *item->nanos;
    if (intended >= end_nanos) break;
    CallEnd outcome;
    outcome.request = item->pick.request;
    outcome.code = "UNSENT";
    outcome.unexpected = outcome.blocked = true;
    outcome.intended_nanos = intended;
    outcome.sent_nanos = outcome.done_nanos = end_nanos;
    recorder_.Add(outcome);
  }
}

bool Load::AwaitTime(int64_t nanos) {
  if (nanos - MonotonicNanos() > kLongSleepNanos) {
    std::unique_lock lock(stop_mutex_);
    stop_changed_.wait_until(
        lock,
        std::chrono::steady_clock::time_point(
            std::chrono::nanoseconds(nanos - kLongSleepNanos / 2)),
        [this] { return stopped_.load(); });
    if (stopped_) return false;
  }
  SleepUntilNanos(nanos);
  return !stopped_ || nanos < end_nanos_;
}

void Load::Work() {
  SetTimerSlack();
  if (plan_.kind == LoadPlan::Kind::kClosed) AwaitTime(options_.start_nanos);
  while (!stopped_) {
    const std::optional<Source::Item> item = source_.Next();
    if (!item) break;
    const int64_t now = MonotonicNanos();
    const int64_t intended =
        item->nanos ? options_.start_nanos + *item->nanos : now;
    const bool blocked = intended < now;
    if (item->nanos && !blocked && !AwaitTime(intended)) break;
    Send(*item, intended, blocked);
  }
  --num_running_;
}

void Load::Send(const Source::Item& item, int64_t intended_nanos,
                bool blocked) {
  const WorkloadSpec& spec = target_.spec();
  const RequestSpec& request = spec.requests[item.pick.request];
  PreparedRequest& prepared = target_.Prepared(item.pick);
  const int variant =
      static_cast<int>(item.pick.variant % prepared.num_variants());
  std::unique_ptr<PreparedRequest::Answer> answer = prepared.BorrowAnswer();
  if (options_.record_trace) {
    absl::MutexLock lock(&trace_mutex_);
    trace_.push_back({intended_nanos - options_.start_nanos, request.name});
  }
  CallEnd outcome;
  outcome.request = item.pick.request;
  outcome.blocked = blocked;
  outcome.intended_nanos = intended_nanos;
  outcome.sent_nanos =
      plan_.kind == LoadPlan::Kind::kClosed ? intended_nanos : MonotonicNanos();
  const absl::Status status = prepared.Call(variant, *answer);
  outcome.done_nanos = MonotonicNanos();
  outcome.code = absl::StatusCodeToString(status.code());
  if (!status.ok()) outcome.reason = ErrorReason(status);
  outcome.ok = outcome.code == request.expect;
  outcome.unexpected =
      !outcome.ok && std::find(spec.allow.begin(), spec.allow.end(),
                               outcome.code) == spec.allow.end();
  outcome.resent = answer->resent;
  outcome.bytes_sent = prepared.bytes_sent();
  outcome.bytes_received = prepared.bytes_received();
  outcome.elements = prepared.elements();
  const bool can_verify =
      prepared.is_known() || request.kind == RequestKind::kEcho;
  if (status.ok() && item.pick.verify && can_verify) {
    outcome.verified = prepared.Verify(variant, *answer) ? Verified::kEqual
                                                         : Verified::kDifferent;
  }
  prepared.ReturnAnswer(std::move(answer));
  recorder_.Add(outcome);
}

std::vector<TraceEntry> Load::TakeTrace() {
  absl::MutexLock lock(&trace_mutex_);
  std::sort(trace_.begin(), trace_.end(),
            [](const TraceEntry& a, const TraceEntry& b) {
              return a.nanos < b.nanos;
            });
  return std::move(trace_);
}

}  // namespace actserve
