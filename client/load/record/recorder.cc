#include "client/load/record/recorder.h"

#include <cstddef>

namespace actserve {

Recorder::Recorder(Counts counts, int64_t first_nanos, int64_t window_nanos,
                   int num_requests)
    : counts_(counts), first_nanos_(first_nanos), window_nanos_(window_nanos) {
  all_.requests.resize(num_requests);
}

void Recorder::Add(const CallEnd& outcome) {
  const int64_t at = counts_ == Counts::kIntended ? outcome.intended_nanos
                                                  : outcome.done_nanos;
  if (at < first_nanos_) return;
  const auto window =
      static_cast<size_t>((outcome.done_nanos - first_nanos_) / window_nanos_);
  absl::MutexLock lock(&mutex_);
  if (at >= end_nanos_) return;
  if (window >= all_.windows.size()) all_.windows.resize(window + 1);
  all_.windows[window].Add(outcome);
  all_.requests[outcome.request].Add(outcome);
  if (!outcome.blocked) {
    all_.lag.Add(outcome.sent_nanos - outcome.intended_nanos);
  }
}

void Recorder::Close(int64_t nanos) {
  absl::MutexLock lock(&mutex_);
  end_nanos_ = nanos;
}

Recorder::Snapshot Recorder::Take() const {
  absl::MutexLock lock(&mutex_);
  return all_;
}

Tally Recorder::Window(int index) const {
  absl::MutexLock lock(&mutex_);
  return static_cast<size_t>(index) < all_.windows.size() ? all_.windows[index]
                                                          : Tally();
}

}  // namespace actserve
