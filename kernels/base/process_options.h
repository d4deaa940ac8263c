#ifndef ACTSERVE_KERNELS_BASE_PROCESS_OPTIONS_H_
#define ACTSERVE_KERNELS_BASE_PROCESS_OPTIONS_H_

#include <malloc.h>

#include "absl/synchronization/mutex.h"

namespace actserve {

// What programs of ours choose at the start of main(), as actserved does; a
// library leaves its host process as it is.
inline void SetProcessOptions() {
  // glibc would give the memory of every large message back to the kernel and
  // take a page fault per 4 KiB of the next.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2000 << 20);
  mallopt(M_TOP_PAD, 64 << 20);
  mallopt(M_ARENA_MAX, 1);
  // Debian's Abseil looks for lock cycles at every lock of gRPC and of ours,
  // 5 % of the time of a small call.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_PROCESS_OPTIONS_H_
