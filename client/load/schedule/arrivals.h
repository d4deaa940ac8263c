#ifndef ACTSERVE_CLIENT_LOAD_SCHEDULE_ARRIVALS_H_
#define ACTSERVE_CLIENT_LOAD_SCHEDULE_ARRIVALS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "client/load/schedule/seeded_random.h"

namespace actserve {

// A stretch of time over which the rate goes in a line from one value to
// another.
struct RateSegment {
  double seconds = std::numeric_limits<double>::infinity();
  // Requests per second; not negative.
  double from_rate = 0;
  double to_rate = 0;
};

// When requests are to be sent: `segments` one after the other, and then no
// more. One segment is a constant rate or a ramp, several are steps.
struct ArrivalPlan {
  // True: a Poisson process of that rate. False: evenly spaced.
  bool poisson = true;
  std::vector<RateSegment> segments;
};

// The times of a plan, in their order. The same seed gives the same times.
class Arrivals {
 public:
  Arrivals(ArrivalPlan plan, uint64_t seed);

  // Nanoseconds since the beginning. None: the plan has ended.
  std::optional<int64_t> Next();

 private:
  const ArrivalPlan plan_;
  SeededRandom random_;
  size_t segment_ = 0;
  double segment_begin_ = 0;  // seconds
  double in_segment_ = 0;     // seconds
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_SCHEDULE_ARRIVALS_H_
