#include "kernels/device/cpu/reduce/column_sums.h"

#include <utility>

#include "kernels/graph/broadcast.h"

namespace actserve {
namespace {

template <typename T>
[[gnu::always_inline]] inline void AddRun(const T* terms, int64_t size,
                                          double* sums) {
  for (int64_t i = 0; i < size; ++i) sums[i] += static_cast<double>(terms[i]);
}

template <typename T>
void AddRunPortable(const T* terms, int64_t size, double* sums) {
  AddRun(terms, size, sums);
}

#if defined(__x86_64__)
template <typename T>
[[gnu::target("avx2")]] void AddRunAvx2(const T* terms, int64_t size,
                                        double* sums) {
  AddRun(terms, size, sums);
}
#endif

template <typename T>
auto BestAddRun() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return &AddRunAvx2<T>;
#endif
  return &AddRunPortable<T>;
}

}  // namespace

ColumnSums::ColumnSums(int64_t num_rows, int64_t width)
    : width_(width),
      num_groups_((num_rows + kSumGroup - 1) / kSumGroup),
      groups_(num_groups_ * width) {}

template <typename T>
void ColumnSums::Add(const T* terms, int64_t row, int64_t count) {
  static const auto add_run = BestAddRun<T>();
  for (int64_t end = row + count; row < end; ++row, terms += width_) {
    add_run(terms, width_, groups_.data() + row / kSumGroup * width_);
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
