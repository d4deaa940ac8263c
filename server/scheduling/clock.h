#ifndef ACTSERVE_SERVER_SCHEDULING_CLOCK_H_
#define ACTSERVE_SERVER_SCHEDULING_CLOCK_H_

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace actserve {

// The time, so that a test can say what it is. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;

  // The time of the machine. Never destroyed.
  static const Clock* Real();
};

inline const Clock* Clock::Real() {
  class RealClock final : public Clock {
   public:
    absl::Time Now() const override { return absl::Now(); }
  };
  static const auto* const clock = new RealClock;
  return clock;
}

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SCHEDULING_CLOCK_H_
