#ifndef ACTSERVE_SERVER_SCHEDULING_CLOCK_H_
#define ACTSERVE_SERVER_SCHEDULING_CLOCK_H_

#include "absl/synchronization/mutex.h"
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

// Stands still until told.
class FakeClock final : public Clock {
 public:
  absl::Time Now() const override {
    absl::MutexLock lock(&mu_);
    return now_;
  }
  void Advance(absl::Duration by) {
    absl::MutexLock lock(&mu_);
    now_ += by;
  }

 private:
  mutable absl::Mutex mu_;
  absl::Time now_ ABSL_GUARDED_BY(mu_) = absl::FromUnixSeconds(1000000000);
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SCHEDULING_CLOCK_H_
