#include "kernels/device/tensor_part.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace actserve {

void CopyRuns(const std::byte* from, size_t from_stride_bytes, std::byte* to,
              size_t to_stride_bytes, size_t run_bytes, size_t num_runs) {
  // A copy of a size that the compiler knows is one instruction.
  const auto copy = [&](auto size_bytes) {
    for (size_t r = 0; r < num_runs; ++r) {
      std::memcpy(to + r * to_stride_bytes, from + r * from_stride_bytes,
                  size_bytes);
    }
  };
  switch (run_bytes) {
    case 2:
      return copy(std::integral_constant<size_t, 2>());
    case 4:
      return copy(std::integral_constant<size_t, 4>());
    case 8:
      return copy(std::integral_constant<size_t, 8>());
    case 16:
      return copy(std::integral_constant<size_t, 16>());
    default:
      return copy(run_bytes);
  }
}

void CopyIntoPart(const std::byte* from, int64_t begin, int64_t count,
                  const TensorPart& part, int64_t item_size_bytes,
                  std::byte* tensor) {
  // A whole tensor is one run.
  const int64_t run = part.is_whole() ? begin + count : part.run;
  while (count > 0) {
    std::byte* to = tensor + part.IndexOf(begin) * item_size_bytes;
    const int64_t left = run - begin % run;
    int64_t copied = std::min(count, left);
    if (left == run && count > run) {
      copied = count / run * run;
      CopyRuns(from, run * item_size_bytes, to, part.stride * item_size_bytes,
               run * item_size_bytes, count / run);
    } else {
      std::memcpy(to, from, copied * item_size_bytes);
    }
    from += copied * item_size_bytes;
    begin += copied;
    count -= copied;
  }
}

}  // namespace actserve
