#ifndef ACTSERVE_CLIENT_CPP_ALLOCATOR_OPTIONS_H_
#define ACTSERVE_CLIENT_CPP_ALLOCATOR_OPTIONS_H_

#include <malloc.h>

namespace actserve {

// Makes glibc keep the memory of one message for the next, instead of giving
// it back and taking a page fault per 4 KiB of every message. For the start of
// main() in programs of ours; a library leaves its host process as it is.
inline void KeepMessageMemory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2000 << 20);
  mallopt(M_TOP_PAD, 64 << 20);
  mallopt(M_ARENA_MAX, 1);
}

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_ALLOCATOR_OPTIONS_H_
