#include "server/state/memory_trimmer.h"

#include <malloc.h>

#include <algorithm>

#include "server/observe/resident_bytes.h"

namespace actserve {
namespace {

// What the process has allocated and not freed.
int64_t AllocatedBytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
}

}  // namespace

void MemoryTrimmer::Tick() {
  using enum MemoryBudget::Half;
  const size_t slot = tick_++ % kTicks;
  int64_t kept_bytes = 0;
  int64_t result_bytes = 0;
  for (const MemoryBudget::Half half : {kRequests, kResults}) {
    auto& peaks = peaks_[static_cast<size_t>(half)];
    peaks[slot] = budget_.TakePeak(half);
    const int64_t unused =
        *std::ranges::max_element(peaks) - budget_.used_bytes(half);
    kept_bytes += unused;
    if (half == kResults) result_bytes = unused;
  }
  buffers_.DropIdle(result_bytes + kSlackBytes);
  if (ResidentBytes() - AllocatedBytes() > kept_bytes + kSlackBytes) {
    malloc_trim(kSlackBytes);
  }
}

}  // namespace actserve
