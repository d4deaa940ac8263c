#ifndef ACTSERVE_KERNELS_DEVICE_CPU_REDUCE_TRANSPOSE_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_REDUCE_TRANSPOSE_H_

#include <cstddef>
#include <cstdint>

namespace actserve {

// Copies a matrix of `num_rows` times `num_columns` items, of 2, 4 or 8 bytes,
// so that item (r, c) becomes item (c, r). Rows begin so many items after each
// other, in `from` and in `to`, which may be at any address and do not overlap.
void Transpose(const std::byte* from, int64_t from_pitch, int64_t num_rows,
               int64_t num_columns, int64_t item_size, std::byte* to,
               int64_t to_pitch);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_REDUCE_TRANSPOSE_H_
