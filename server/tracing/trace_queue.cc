#include "server/tracing/trace_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace actserve {

void TraceQueue::Push(TracedCall call) {
  absl::MutexLock lock(&mu_);
  if (closed_ || calls_.size() >= kMaxCalls) {
    ++num_dropped_;
    return;
  }
  calls_.push_back(std::move(call));
}

std::vector<TracedCall> TraceQueue::Take(size_t max_calls,
                                         absl::Duration patience) {
  const auto has_one = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return closed_ || !calls_.empty();
  };
  const auto has_enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return closed_ || calls_.size() >= max_calls;
  };
  absl::MutexLock lock(&mu_, absl::Condition(&has_one));
  mu_.AwaitWithTimeout(absl::Condition(&has_enough), patience);
  std::vector<TracedCall> taken;
  const auto end = calls_.begin() + std::min(max_calls, calls_.size());
  std::move(calls_.begin(), end, std::back_inserter(taken));
  calls_.erase(calls_.begin(), end);
  return taken;
}

int64_t TraceQueue::TakeNumDropped() {
  absl::MutexLock lock(&mu_);
  return std::exchange(num_dropped_, 0);
}

void TraceQueue::Close() {
  absl::MutexLock lock(&mu_);
  closed_ = true;
}

}  // namespace actserve
