#ifndef ACTSERVE_KERNELS_DEVICE_CPU_PART_WRITER_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_PART_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/device/tensor_part.h"

namespace actserve {

// Where a kernel writes an output that is a part of a tensor: long runs to
// their place, short ones to a buffer from which they are spread.
//
// Immutable, so threads may share it, each with a buffer of its own.
class PartWriter {
 public:
  PartWriter() = default;
  PartWriter(std::byte* tensor, const TensorPart& part, int64_t item_size_bytes)
      : tensor_(tensor), part_(part), item_size_bytes_(item_size_bytes) {}

  // How many elements from `element` on one call may write, at least 1.
  int64_t RunLength(int64_t element) const;
  // Where the call writes `count` elements from `element` on.
  std::byte* Begin(int64_t element, int64_t count,
                   std::vector<std::byte>& buffer) const;
  // To be called after it.
  void End(int64_t element, int64_t count,
           const std::vector<std::byte>& buffer) const;

  // True if it may write past the caches: to no buffer, and seldom a part of a
  // cache line.
  bool WritesLines() const;
  // Of the element, if WritesLines().
  const std::byte* address(int64_t element) const {
    return tensor_ + part_.IndexOf(element) * item_size_bytes_;
  }

 private:
  bool is_buffered() const;

  std::byte* tensor_ = nullptr;
  TensorPart part_;
  int64_t item_size_bytes_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_PART_WRITER_H_
