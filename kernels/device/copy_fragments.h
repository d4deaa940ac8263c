#ifndef ACTSERVE_KERNELS_DEVICE_COPY_FRAGMENTS_H_
#define ACTSERVE_KERNELS_DEVICE_COPY_FRAGMENTS_H_

#include <cstddef>
#include <cstring>

#include "absl/types/span.h"
#include "kernels/device/device.h"

namespace actserve {

// Copies the bytes of `fragments` to `to`, one after the other. Returns the end
// of what was written.
inline std::byte* CopyFragments(absl::Span<const Fragment> fragments,
                                std::byte* to) {
  for (const Fragment& fragment : fragments) {
    std::memcpy(to, fragment.data, fragment.size_bytes);
    to += fragment.size_bytes;
  }
  return to;
}

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_COPY_FRAGMENTS_H_
