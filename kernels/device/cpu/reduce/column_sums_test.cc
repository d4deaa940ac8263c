#include "kernels/device/cpu/reduce/column_sums.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "kernels/graph/broadcast.h"

namespace actserve {
namespace {

// Of numbers whose sum depends on the order, in pieces, the last groups first.
template <typename T>
void ExpectTheBitsOfSumLike(int64_t num_rows, int64_t width) {
  std::mt19937 random(7);
  std::vector<T> terms(num_rows * width);
  for (T& term : terms) {
    term = static_cast<T>(std::exp2(random() % 60) * (random() % 97));
  }
  ColumnSums sums(num_rows, width);

  for (int64_t group = (num_rows - 1) / kSumGroup; group >= 0; --group) {
    const int64_t end = std::min(num_rows, (group + 1) * kSumGroup);
    for (int64_t row = group * kSumGroup; row < end;) {
      const int64_t count = std::min<int64_t>(end - row, 11);
      sums.Add(terms.data() + row * width, row, count);
      row += count;
    }
  }

  const Broadcast::Dimension shape[] = {{num_rows, true}, {width, false}};
  EXPECT_EQ(sums.Take(), SumLike(Broadcast(shape), absl::Span<const T>(terms)))
      << num_rows << " rows of " << width;
}

TEST(ColumnSums, HaveTheBitsOfSumLike) {
  for (const int64_t num_rows : {1, 63, 64, 65, 200, 1000}) {
    for (const int64_t width : {2, 3, 37}) {
      ExpectTheBitsOfSumLike<float>(num_rows, width);
      ExpectTheBitsOfSumLike<double>(num_rows, width);
    }
  }
}

}  // namespace
}  // namespace actserve
