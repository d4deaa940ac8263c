// The time of a load run: nanoseconds of the system's monotonic clock.

#ifndef ACTSERVE_CLIENT_LOAD_SCHEDULE_CLOCK_H_
#define ACTSERVE_CLIENT_LOAD_SCHEDULE_CLOCK_H_

#include <time.h>

#include <cerrno>
#include <cmath>
#include <cstdint>

namespace actserve {

inline int64_t MonotonicNanos() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{1'000'000'000} * now.tv_sec + now.tv_nsec;
}

inline void SleepUntilNanos(int64_t nanos) {
  const timespec until = {nanos / 1'000'000'000, nanos % 1'000'000'000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) ==
         EINTR) {
  }
}

inline int64_t NanosOf(double seconds) { return std::llround(seconds * 1e9); }
inline double SecondsOfNanos(int64_t nanos) { return nanos / 1e9; }

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_SCHEDULE_CLOCK_H_
