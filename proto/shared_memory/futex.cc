#include "proto/shared_memory/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

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

bool MaySpin() {
  static const bool may_spin = std::thread::hardware_concurrency() > 1;
  return may_spin;
}

}  // namespace actserve::shared_memory
