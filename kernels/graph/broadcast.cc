#include "kernels/graph/broadcast.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "kernels/graph/summation.h"

namespace actserve {
namespace {

// Step 1.
template <typename T>
std::vector<double> SumRuns(const Broadcast& broadcast,
                            absl::Span<const T> terms) {
  const auto dimensions = broadcast.dimensions();
  if (dimensions.empty() || !dimensions.back().repeated) {
    return std::vector<double>(terms.begin(), terms.end());
  }
  const int64_t size = dimensions.back().size;
  int64_t num_runs = 1;
  for (const auto& dimension : dimensions.first(dimensions.size() - 1)) {
    num_runs *= dimension.size;
  }
  std::vector<double> sums;
  sums.reserve(num_runs);
  for (int64_t run = 0; run < num_runs; ++run) {
    sums.push_back(Sum(terms.subspan(run * size, size)));
  }
  return sums;
}

// Step 2 for one dimension: `terms` are `num_rows` rows of sums.size() each,
// and sums[c] is the sum of column c.
template <typename T>
void SumRows(absl::Span<const T> terms, int64_t num_rows,
             absl::Span<double> sums) {
  const int64_t width = static_cast<int64_t>(sums.size());
  const int64_t num_groups =
      std::max<int64_t>(1, (num_rows + kSumGroup - 1) / kSumGroup);
  std::vector<double> groups(num_groups * width, 0.0);
  for (int64_t row = 0; row < num_rows; ++row) {
    double* to = groups.data() + row / kSumGroup * width;
    const T* from = terms.data() + row * width;
    for (int64_t c = 0; c < width; ++c) to[c] += static_cast<double>(from[c]);
  }
  CombineGroups(groups.data(), num_groups, width);
  std::copy_n(groups.begin(), width, sums.begin());
}

// Step 2 for one dimension of `num_rows`, in each of `num_outer` blocks.
template <typename T>
std::vector<double> SumBlocks(absl::Span<const T> terms, int64_t num_outer,
                              int64_t num_rows, int64_t width) {
  std::vector<double> sums(num_outer * width);
  for (int64_t outer = 0; outer < num_outer; ++outer) {
    SumRows(terms.subspan(outer * num_rows * width, num_rows * width), num_rows,
            absl::MakeSpan(sums).subspan(outer * width, width));
  }
  return sums;
}

// Both steps. Where rows are summed first, not runs, they are read where they
// lie.
template <typename T>
std::vector<double> SumTerms(const Broadcast& broadcast,
                             absl::Span<const T> terms) {
  const auto dimensions = broadcast.dimensions();
  if (dimensions.size() < 2 || dimensions.back().repeated) {
    return SumOuterDimensions(broadcast, SumRuns(broadcast, terms));
  }
  std::vector<Broadcast::Dimension> left(dimensions.begin(),
                                         dimensions.end() - 2);
  int64_t num_outer = 1;
  for (const Broadcast::Dimension& outer : left) num_outer *= outer.size;
  left.push_back(dimensions.back());
  return SumOuterDimensions(
      Broadcast(left),
      SumBlocks(terms, num_outer, dimensions[dimensions.size() - 2].size,
                dimensions.back().size));
}

}  // namespace

Broadcast::Broadcast(absl::Span<const Dimension> dimensions) {
  for (const Dimension& dimension : dimensions) {
    num_read_ *= dimension.size;
    if (!dimension.repeated) num_elements_ *= dimension.size;
    if (dimension.size == 1) continue;
    if (!dimensions_.empty() &&
        dimensions_.back().repeated == dimension.repeated) {
      dimensions_.back().size *= dimension.size;
    } else {
      dimensions_.push_back(dimension);
    }
  }
}

int64_t Broadcast::IndexOf(int64_t element) const {
  int64_t index = 0;
  int64_t stride = 1;
  for (size_t d = dimensions_.size(); d-- > 0;) {
    const Dimension& dimension = dimensions_[d];
    if (!dimension.repeated) {
      index += element % dimension.size * stride;
      stride *= dimension.size;
    }
    element /= dimension.size;
  }
  return index;
}

void CombineGroups(double* groups, int64_t num_groups, int64_t width) {
  while (num_groups > 1) {
    for (int64_t g = 0; g < num_groups / 2; ++g) {
      const double* a = groups + 2 * g * width;
      const double* b = a + width;
      double* to = groups + g * width;
      for (int64_t c = 0; c < width; ++c) to[c] = a[c] + b[c];
    }
    if (num_groups % 2 == 1) {
      std::copy_n(groups + (num_groups - 1) * width, width,
                  groups + num_groups / 2 * width);
    }
    num_groups = (num_groups + 1) / 2;
  }
}

std::vector<double> SumOuterDimensions(const Broadcast& broadcast,
                                       std::vector<double> run_sums) {
  std::vector<Broadcast::Dimension> left(broadcast.dimensions().begin(),
                                         broadcast.dimensions().end());
  if (!left.empty() && left.back().repeated) left.pop_back();
  // Kept dimensions from the one that is summed inwards.
  int64_t width = 1;
  while (!left.empty()) {
    const Broadcast::Dimension dimension = left.back();
    left.pop_back();
    if (!dimension.repeated) {
      width *= dimension.size;
      continue;
    }
    int64_t num_outer = 1;
    for (const auto& outer : left) num_outer *= outer.size;
    run_sums = SumBlocks(absl::MakeConstSpan(run_sums), num_outer,
                         dimension.size, width);
  }
  return run_sums;
}

std::vector<double> SumLike(const Broadcast& broadcast,
                            absl::Span<const float> terms) {
  return SumTerms(broadcast, terms);
}

std::vector<double> SumLike(const Broadcast& broadcast,
                            absl::Span<const double> terms) {
  return SumTerms(broadcast, terms);
}

}  // namespace actserve
