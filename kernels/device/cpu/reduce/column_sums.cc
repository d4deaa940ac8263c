#include "kernels/device/cpu/reduce/column_sums.h"

#include <algorithm>
#include <utility>

#include "kernels/graph/broadcast.h"

namespace actserve {
namespace {

// Adds some rows of a group, each number in the order of the rows. Several at
// once, so that sums are loaded and stored once for all of them.
template <int64_t kCount, typename T>
[[gnu::always_inline]] inline void AddRows(const T* terms, int64_t width,
                                           double* sums) {
  for (int64_t i = 0; i < width; ++i) {
    double sum = sums[i];
    for (int64_t r = 0; r < kCount; ++r) {
      sum += static_cast<double>(terms[r * width + i]);
    }
    sums[i] = sum;
  }
}

template <typename T>
[[gnu::always_inline]] inline void AddAllRows(const T* terms, int64_t width,
                                              int64_t count, double* sums) {
  for (; count >= 8; count -= 8, terms += 8 * width) {
    AddRows<8>(terms, width, sums);
  }
  for (; count >= 4; count -= 4, terms += 4 * width) {
    AddRows<4>(terms, width, sums);
  }
  for (; count > 0; --count, terms += width) AddRows<1>(terms, width, sums);
}

template <typename T>
void AddRowsPortable(const T* terms, int64_t width, int64_t count,
                     double* sums) {
  AddAllRows(terms, width, count, sums);
}

#if defined(__x86_64__)
template <typename T>
[[gnu::target("avx2")]] void AddRowsAvx2(const T* terms, int64_t width,
                                         int64_t count, double* sums) {
  AddAllRows(terms, width, count, sums);
}
template <typename T>
[[gnu::target("avx512f,avx512vl,prefer-vector-width=512")]] void AddRowsAvx512(
    const T* terms, int64_t width, int64_t count, double* sums) {
  AddAllRows(terms, width, count, sums);
}
#endif

template <typename T>
auto BestAddRows() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) {
    return &AddRowsAvx512<T>;
  }
  if (__builtin_cpu_supports("avx2")) return &AddRowsAvx2<T>;
#endif
  return &AddRowsPortable<T>;
}

}  // namespace

ColumnSums::ColumnSums(int64_t num_rows, int64_t width)
    : width_(width),
      num_groups_((num_rows + kSumGroup - 1) / kSumGroup),
      groups_(num_groups_ * width) {}

template <typename T>
void ColumnSums::Add(const T* terms, int64_t row, int64_t count) {
  static const auto add_rows = BestAddRows<T>();
  while (count > 0) {
    const int64_t of_group = std::min(count, kSumGroup - row % kSumGroup);
    add_rows(terms, width_, of_group,
             groups_.data() + row / kSumGroup * width_);
    row += of_group;
    count -= of_group;
    terms += of_group * width_;
  }
}

template void ColumnSums::Add(const float*, int64_t, int64_t);
template void ColumnSums::Add(const double*, int64_t, int64_t);

std::vector<double> ColumnSums::Take() {
  CombineGroups(groups_.data(), num_groups_, width_);
  groups_.resize(width_);
  return std::move(groups_);
}

}  // namespace actserve
