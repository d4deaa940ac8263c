#include "client/load/run/source.h"

#include <utility>

namespace actserve {

Source::Source(const LoadPlan& plan, Mix mix, std::vector<int> trace_requests,
               uint64_t seed)
    : plan_(plan),
      trace_requests_(std::move(trace_requests)),
      mix_(std::move(mix)),
      arrivals_(plan.arrivals, seed) {}

std::optional<Source::Item> Source::Next() {
  absl::MutexLock lock(&mutex_);
  Item item;
  if (plan_.kind == LoadPlan::Kind::kReplay) {
    if (next_in_trace_ == plan_.trace.size()) return std::nullopt;
    item.nanos = plan_.trace[next_in_trace_].nanos;
    item.pick = mix_.NextOf(trace_requests_[next_in_trace_]);
    ++next_in_trace_;
    return item;
  }
  if (plan_.kind == LoadPlan::Kind::kOpen) {
    item.nanos = arrivals_.Next();
    if (!item.nanos) return std::nullopt;
  }
  item.pick = mix_.Next();
  return item;
}

}  // namespace actserve
