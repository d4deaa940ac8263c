#include "client/load/schedule/arrivals.h"

#include <cmath>
#include <utility>

#include "client/load/schedule/clock.h"

namespace actserve {

Arrivals::Arrivals(ArrivalPlan plan, uint64_t seed)
    : plan_(std::move(plan)), random_(seed, /*stream=*/1) {}

// The number of requests up to some time is the integral of the rate. The next
// request comes where that has grown by 1, or in a Poisson process by an
// exponentially distributed number.
std::optional<int64_t> Arrivals::Next() {
  double growth = plan_.poisson ? random_.Exponential() : 1;
  for (; segment_ < plan_.segments.size(); ++segment_) {
    const RateSegment& segment = plan_.segments[segment_];
    const double slope =
        std::isinf(segment.seconds)
            ? 0
            : (segment.to_rate - segment.from_rate) / segment.seconds;
    const double rate = segment.from_rate + slope * in_segment_;
    const double left = segment.seconds - in_segment_;
    // Of rate * t + slope * t^2 / 2 = growth, without cancellation.
    const double square = rate * rate + 2 * slope * growth;
    const double step =
        square <= 0 ? left : 2 * growth / (rate + std::sqrt(square));
    if (step < left) {
      in_segment_ += step;
      return NanosOf(segment_begin_ + in_segment_);
    }
    if (std::isinf(left)) return std::nullopt;  // a rate of 0, forever
    growth -= left * (rate + slope * left / 2);
    segment_begin_ += segment.seconds;
    in_segment_ = 0;
  }
  return std::nullopt;
}

}  // namespace actserve
