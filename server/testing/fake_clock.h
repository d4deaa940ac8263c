#ifndef ACTSERVE_SERVER_TESTING_FAKE_CLOCK_H_
#define ACTSERVE_SERVER_TESTING_FAKE_CLOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/scheduling/clock.h"

namespace actserve {

// A clock that stands still until a test advances it. Thread-safe.
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

#endif  // ACTSERVE_SERVER_TESTING_FAKE_CLOCK_H_
