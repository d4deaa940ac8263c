#ifndef ACTSERVE_PROTO_SHARED_MEMORY_FUTEX_H_
#define ACTSERVE_PROTO_SHARED_MEMORY_FUTEX_H_

#include <atomic>
#include <cstdint>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace actserve::shared_memory {

// Sleeps until `word`, in memory that processes share, is woken or no longer
// `value`, at most for `timeout`. May return for no reason.
void SleepOn(std::atomic<uint32_t>& word, uint32_t value,
             absl::Duration timeout);

// Wakes everybody who sleeps on `word`.
void Wake(std::atomic<uint32_t>& word);

// Longer than two threads need to wake each other one after the other: where it
// is shorter, both keep falling asleep just before they are called.
inline constexpr absl::Duration kSpin = absl::Microseconds(50);

// True if another thread can run while this one spins.
bool MaySpin();

// Calls `is_done` until it returns true, or for kSpin. Returns what it returned
// last. On a machine with one processor it calls only once.
template <typename IsDone>
bool SpinUntil(IsDone is_done) {
  if (is_done()) return true;
  if (!MaySpin()) return false;
  const absl::Time end = absl::Now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      if (is_done()) return true;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
  } while (absl::Now() < end);
  return is_done();
}

}  // namespace actserve::shared_memory

#endif  // ACTSERVE_PROTO_SHARED_MEMORY_FUTEX_H_
