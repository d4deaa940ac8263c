#ifndef ACTSERVE_PROTO_SHARED_MEMORY_FUTEX_H_
#define ACTSERVE_PROTO_SHARED_MEMORY_FUTEX_H_

#include <sched.h>

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

// Waits for what another thread does soon, without sleeping: to fall asleep and
// be woken takes longer than a small call, on a virtual machine 100 us and
// more. How long it spins follows from how long the last waits took: where
// answers come soon after the thread fell asleep, longer, and where they take
// their time, hardly at all. Thread-safe.
class Spin {
 public:
  static constexpr absl::Duration kLeast = absl::Microseconds(5);
  static constexpr absl::Duration kMost = absl::Microseconds(200);

  // Calls `is_done` until it returns true, or for a while. Returns what it
  // returned last. On a machine with one processor it calls only once.
  template <typename IsDone>
  bool Until(IsDone is_done);

  // Tells how long a wait took that spinning did not end.
  void Slept(absl::Duration wait);

 private:
  static bool MayRunBeside();

  std::atomic<int64_t> nanos_ = absl::ToInt64Nanoseconds(kMost);
};

template <typename IsDone>
bool Spin::Until(IsDone is_done) {
  if (is_done()) return true;
  if (!MayRunBeside()) return false;
  const absl::Time end =
      absl::Now() + absl::Nanoseconds(nanos_.load(std::memory_order_relaxed));
  do {
    for (int i = 0; i < 32; ++i) {
      if (is_done()) return true;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
    // The other thread may wait for this processor.
    sched_yield();
  } while (absl::Now() < end);
  return is_done();
}

}  // namespace actserve::shared_memory

#endif  // ACTSERVE_PROTO_SHARED_MEMORY_FUTEX_H_
