#ifndef ACTSERVE_KERNELS_DEVICE_TENSOR_PART_H_
#define ACTSERVE_KERNELS_DEVICE_TENSOR_PART_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace actserve {

// Which elements of a tensor are those of a smaller one: of every `stride`
// elements the `run` from `offset` on. So lies one of the equal parts of a
// tensor that is cut along an axis. The default is the whole tensor.
struct TensorPart {
  int64_t run = 1;
  int64_t stride = 1;
  int64_t offset = 0;

  bool is_whole() const { return run == stride; }
  // Where element `i` of the part lies in the tensor.
  int64_t IndexOf(int64_t i) const {
    return i / run * stride + offset + i % run;
  }
  // Of a tensor whose part has `num_elements`, a multiple of `run`.
  int64_t TensorElements(int64_t num_elements) const {
    return num_elements / run * stride;
  }

  bool operator==(const TensorPart&) const = default;
};

// What `parts` says of tensor `index`: those beyond the last are whole.
inline TensorPart PartAt(absl::Span<const TensorPart> parts, size_t index) {
  return index < parts.size() ? parts[index] : TensorPart();
}

// Copies `num_runs` runs of `run_bytes`, whose begins are so far apart.
void CopyRuns(const std::byte* from, size_t from_stride_bytes, std::byte* to,
              size_t to_stride_bytes, size_t run_bytes, size_t num_runs);

// Copies elements [begin, begin + count) of `part`, which lie at `from`, to
// where they belong in `tensor`.
void CopyIntoPart(const std::byte* from, int64_t begin, int64_t count,
                  const TensorPart& part, int64_t item_size_bytes,
                  std::byte* tensor);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_TENSOR_PART_H_
