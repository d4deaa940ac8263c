#ifndef ACTSERVE_SERVER_SCHEDULING_CLOCK_H_
#define ACTSERVE_SERVER_SCHEDULING_CLOCK_H_

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace actserve {

// The source of the time; tests replace it. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;

  // The machine's clock. Never destroyed.
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
