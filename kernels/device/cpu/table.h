// 16-bit functions of one input as tables of all 65,536 values.

#ifndef ACTSERVE_KERNELS_DEVICE_CPU_TABLE_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_TABLE_H_

#include <cstdint>

#include "kernels/base/dtype.h"

namespace actserve {

// Allocated after the last entry: results are fetched four bytes at a time.
inline constexpr int64_t kTablePadding = 1;

// to[i] = table[from[i]]. `from` and `to` may have any alignment. With
// `non_temporal`, `to` must be aligned to 64 bytes and is written past the
// caches; the caller issues the fence.
void ApplyTable(const uint16_t* table, const void* from, int64_t num_elements,
                bool non_temporal, void* to);

// to[i] = round16(float(upstream[i]) * derivatives[i]), all but `derivatives`
// in `storage`, a 16-bit type. Any alignment.
void ApplyDerivatives(const float* derivatives, DType storage,
                      const void* upstream, int64_t num_elements, void* to);

// to[i] = round16(float(upstream[i]) * table[from[i]]), all but the table in
// `storage`, a 16-bit type. Otherwise as ApplyTable.
void ApplyDerivativeTable(const float* table, DType storage, const void* from,
                          const void* upstream, int64_t num_elements,
                          bool non_temporal, void* to);

namespace internal {

// The same for processors without AVX-512; for the test.
void ApplyTablePortable(const uint16_t* table, const void* from,
                        int64_t num_elements, void* to);
void ApplyDerivativeTablePortable(const float* table, DType storage,
                                  const void* from, const void* upstream,
                                  int64_t num_elements, void* to);

}  // namespace internal
}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_TABLE_H_
