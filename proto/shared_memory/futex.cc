#include "proto/shared_memory/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <thread>

namespace actserve::shared_memory {

void SleepOn(std::atomic<uint32_t>& word, uint32_t value,
             absl::Duration timeout) {
  const timespec limit = absl::ToTimespec(timeout);
  syscall(SYS_futex, &word, FUTEX_WAIT, value, &limit, nullptr, 0);
}

void Wake(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

bool Spin::MayRunBeside() {
  static const bool may = std::thread::hardware_concurrency() > 1;
  return may;
}

void Spin::Slept(absl::Duration wait) {
  const int64_t nanos = nanos_.load(std::memory_order_relaxed);
  const bool was_short = wait < 2 * kMost;
  nanos_.store(std::clamp(was_short ? 4 * nanos : nanos / 2,
                          absl::ToInt64Nanoseconds(kLeast),
                          absl::ToInt64Nanoseconds(kMost)),
               std::memory_order_relaxed);
}

}  // namespace actserve::shared_memory
