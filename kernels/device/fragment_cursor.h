#ifndef ACTSERVE_KERNELS_DEVICE_FRAGMENT_CURSOR_H_
#define ACTSERVE_KERNELS_DEVICE_FRAGMENT_CURSOR_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/types/span.h"
#include "kernels/device/device.h"
#include "kernels/device/tensor_part.h"

namespace actserve {

// The bytes in all fragments together.
size_t TotalSizeBytes(absl::Span<const Fragment> fragments);

// A position in a tensor that is given as fragments, or in a part of one: all
// bytes below are then those of the part. Skips empty fragments.
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
  // Elements of the tensor are of `item_size_bytes`.
  FragmentCursor(absl::Span<const Fragment> fragments, const TensorPart& part,
                 int64_t item_size_bytes);

  // The bytes that lie in one piece from here on; 0 at the end.
  const std::byte* data() const {
    return fragments_[fragment_].data + offset_bytes_;
  }
  size_t contiguous_bytes() const {
    return std::min(left_in_fragment(), left_in_run_bytes_);
  }

  void Skip(size_t size_bytes);
  // Skips what it copies.
  void Copy(std::byte* to, size_t size_bytes);

 private:
  size_t left_in_fragment() const {
    return fragment_ < fragments_.size()
               ? fragments_[fragment_].size_bytes - offset_bytes_
               : 0;
  }
  void SkipEmpty();
  // Of the tensor.
  void Move(size_t size_bytes);

  absl::Span<const Fragment> fragments_;
  size_t fragment_ = 0;
  size_t offset_bytes_ = 0;  // in the fragment
  // Of a part: the bytes of a run, and from there to the next.
  size_t run_bytes_ = std::numeric_limits<size_t>::max();
  size_t gap_bytes_ = 0;
  size_t left_in_run_bytes_ = run_bytes_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_FRAGMENT_CURSOR_H_
