// Sums and maxima of runs of numbers, as they lie in memory, with the widest
// vectors of the processor. The bits do not depend on the processor.
//
// `data` holds `num_runs` runs of `size` numbers of type `dtype` each, one
// after the other, at any address. Result r is that of run r.

#ifndef ACTSERVE_KERNELS_DEVICE_CPU_REDUCE_REDUCTIONS_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_REDUCE_REDUCTIONS_H_

#include <cstdint>

#include "kernels/base/dtype.h"

namespace actserve {

// Steps 2 and 3 of summation.h. A run has at most kSumTileElements.
void SumRuns(const void* data, DType dtype, int64_t size, int64_t num_runs,
             double* sums);

// The largest number of each run, which is not empty; NaN if one is NaN. The
// order does not matter but for the sign of a zero. T is float, or double for
// float64.
template <typename T>
void MaxOfRuns(const void* data, DType dtype, int64_t size, int64_t num_runs,
               T* maxima);

// The other way: writes number r to all elements of run r, and something to up
// to kSpreadPadding elements behind the last run.
inline constexpr int64_t kSpreadPadding = 16;
template <typename T>
void SpreadOverRuns(const T* numbers, int64_t size, int64_t num_runs, T* to);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_REDUCE_REDUCTIONS_H_
