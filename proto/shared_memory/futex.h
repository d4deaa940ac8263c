#ifndef ACTSERVE_PROTO_SHARED_MEMORY_FUTEX_H_
#define ACTSERVE_PROTO_SHARED_MEMORY_FUTEX_H_

#include <atomic>
#include <climits>
#include <cstdint>

#include "absl/time/time.h"

namespace actserve::shared_memory {

// Sleeps until `word`, in memory that processes share, is woken or no longer
// `value`, at most for `timeout`. May return for no reason.
void SleepOn(std::atomic<uint32_t>& word, uint32_t value,
             absl::Duration timeout);

// Wakes everybody who sleeps on `word`.
void Wake(std::atomic<uint32_t>& word);

// Calls `is_done` until it returns true, or for about as long as a thread needs
// to fall asleep and wake up. Returns what it returned last. On a machine with
// one processor it calls only once.
template <typename IsDone>
bool SpinUntil(IsDone is_done);

// The number of calls that SpinUntil() makes at most.
int NumSpins();

template <typename IsDone>
bool SpinUntil(IsDone is_done) {
  for (int left = NumSpins();; --left) {
    if (is_done()) return true;
    if (left <= 0) return false;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
}

}  // namespace actserve::shared_memory

#endif  // ACTSERVE_PROTO_SHARED_MEMORY_FUTEX_H_
