#ifndef ACTSERVE_KERNELS_DEVICE_CPU_READ_ELEMENT_RUNS_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_READ_ELEMENT_RUNS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "kernels/device/device.h"
#include "kernels/device/fragment_cursor.h"
#include "kernels/device/tensor_part.h"

namespace actserve {

// Walks a range of elements of tensors that are given as fragments, in runs in
// which every tensor is contiguous in memory.
//
// Long runs point into the fragments themselves. Where fragments, or the runs
// of a part, are short, or an element straddles two, a block of elements is
// copied together first, so a run is never shorter than it has to be.
//
// Not thread-safe; each thread walks its own range.
class ElementRuns {
 public:
  // Fragments of each tensor must hold at least `end` elements of
  // `item_size_bytes`; of the first tensors `parts` are walked. `tensors` must
  // outlive the walk.
  ElementRuns(absl::Span<const absl::Span<const Fragment>> tensors,
              absl::Span<const TensorPart> parts, int64_t item_size_bytes,
              int64_t begin, int64_t end);
  ElementRuns(absl::Span<const absl::Span<const Fragment>> tensors,
              int64_t item_size_bytes, int64_t begin, int64_t end)
      : ElementRuns(tensors, {}, item_size_bytes, begin, end) {}

  // Moves to the next run of at most `max_elements` (>= 1) and returns its
  // length; 0 at the end of the range.
  int64_t Next(int64_t max_elements);

  // Index of the run's first element, and where each tensor's lie. Valid until
  // Next() is called.
  int64_t begin() const { return begin_; }
  const void* const* data() const { return data_.data(); }

 private:
  const int64_t item_size_bytes_;
  int64_t begin_;
  int64_t next_;
  const int64_t end_;
  absl::InlinedVector<FragmentCursor, 4> cursors_;
  absl::InlinedVector<const void*, 4> data_;
  std::vector<std::byte> carry_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_READ_ELEMENT_RUNS_H_
