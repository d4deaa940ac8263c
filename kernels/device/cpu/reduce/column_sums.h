#ifndef ACTSERVE_KERNELS_DEVICE_CPU_REDUCE_COLUMN_SUMS_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_REDUCE_COLUMN_SUMS_H_

#include <cstdint>
#include <vector>

namespace actserve {

// The sums of all rows' terms, one for each place along a row, as SumLike()
// gives them (broadcast.h), without all terms at the same time.
//
// Different groups of kSumGroup rows may be added at the same time; the rows of
// one come in order.
class ColumnSums {
 public:
  ColumnSums(int64_t num_rows, int64_t width);

  // Adds rows [row, row + count), whose terms follow each other. T is float or
  // double.
  template <typename T>
  void Add(const T* terms, int64_t row, int64_t count);

  // Once, when all rows are added.
  std::vector<double> Take();

 private:
  const int64_t width_;
  const int64_t num_groups_;
  std::vector<double> groups_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_REDUCE_COLUMN_SUMS_H_
