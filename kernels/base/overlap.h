#ifndef ACTSERVE_KERNELS_BASE_OVERLAP_H_
#define ACTSERVE_KERNELS_BASE_OVERLAP_H_

#include <cstddef>

namespace actserve {

// True if they share a byte.
inline bool Overlap(const std::byte* a, size_t a_bytes, const std::byte* b,
                    size_t b_bytes) {
  return a_bytes != 0 && b_bytes != 0 && a < b + b_bytes && b < a + a_bytes;
}

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_OVERLAP_H_
