#include "server/scheduling/server_clock.h"

#include "kernels/base/failpoint.h"

namespace actserve {

#ifdef ACTSERVE_FAILPOINTS

const Clock* ServerClock() {
  class JumpingClock final : public Clock {
   public:
    // The value of the failpoint is in seconds.
    absl::Time Now() const override {
      return absl::Now() + absl::Seconds(ACTSERVE_FAILPOINT("clock_jump"));
    }
  };
  static const auto* const clock = new JumpingClock;
  return clock;
}

#else

const Clock* ServerClock() { return Clock::Real(); }

#endif

}  // namespace actserve
