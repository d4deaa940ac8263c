#ifndef ACTSERVE_KERNELS_DEVICE_FRAGMENT_CURSOR_H_
#define ACTSERVE_KERNELS_DEVICE_FRAGMENT_CURSOR_H_

#include <cstddef>

#include "absl/types/span.h"
#include "kernels/device/device.h"

namespace actserve {

// The bytes in all fragments together.
size_t TotalSizeBytes(absl::Span<const Fragment> fragments);

// A position in a tensor that is given as fragments. Skips empty fragments.
//
// Not thread-safe. Moving past the end is not allowed.
class FragmentCursor {
 public:
  FragmentCursor() = default;
  // Starts at the first byte. The bytes of `fragments` must outlive the cursor.
  explicit FragmentCursor(absl::Span<const Fragment> fragments)
      : fragments_(fragments) {
    SkipEmpty();
  }

  // The bytes that lie in one piece from here on; 0 at the end.
  const std::byte* data() const {
    return fragments_[fragment_].data + offset_bytes_;
  }
  size_t contiguous_bytes() const {
    return fragment_ < fragments_.size()
               ? fragments_[fragment_].size_bytes - offset_bytes_
               : 0;
  }

  void Skip(size_t size_bytes);
  // Skips what it copies.
  void Copy(std::byte* to, size_t size_bytes);

 private:
  void SkipEmpty();

  absl::Span<const Fragment> fragments_;
  size_t fragment_ = 0;
  size_t offset_bytes_ = 0;  // in the fragment
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_FRAGMENT_CURSOR_H_
