#include "kernels/graph/summation.h"

#include <cstddef>
#include <vector>

namespace actserve {
namespace {

template <typename T>
double SumTileLanes(absl::Span<const T> contributions) {
  double lanes[kSumLanes] = {};
  for (size_t i = 0; i < contributions.size(); ++i) {
    lanes[i % kSumLanes] += static_cast<double>(contributions[i]);
  }
  for (int64_t stride = kSumLanes / 2; stride > 0; stride /= 2) {
    for (int64_t j = 0; j < stride; ++j) lanes[j] += lanes[j + stride];
  }
  return lanes[0];
}

template <typename T>
double SumAll(absl::Span<const T> contributions) {
  std::vector<double> tiles;
  for (size_t at = 0; at < contributions.size(); at += kSumTileElements) {
    tiles.push_back(SumTile(contributions.subspan(at, kSumTileElements)));
  }
  return SumTiles(absl::MakeSpan(tiles));
}

}  // namespace

double SumTile(absl::Span<const float> contributions) {
  return SumTileLanes(contributions);
}

double SumTile(absl::Span<const double> contributions) {
  return SumTileLanes(contributions);
}

double SumTiles(absl::Span<double> tile_sums) {
  size_t count = tile_sums.size();
  if (count == 0) return 0;
  while (count > 1) {
    for (size_t j = 0; j < count / 2; ++j) {
      tile_sums[j] = tile_sums[2 * j] + tile_sums[2 * j + 1];
    }
    if (count % 2 == 1) tile_sums[count / 2] = tile_sums[count - 1];
    count = (count + 1) / 2;
  }
  return tile_sums[0];
}

double Sum(absl::Span<const float> contributions) {
  return SumAll(contributions);
}

double Sum(absl::Span<const double> contributions) {
  return SumAll(contributions);
}

void PiecewiseSum::Add(double sum) {
  // As in a binary counter: each 1 at the end is a subtree as large as this.
  for (int64_t n = num_pieces_++; n % 2 == 1; n /= 2) {
    sum = subtrees_.back() + sum;
    subtrees_.pop_back();
  }
  subtrees_.push_back(sum);
}

double PiecewiseSum::Total() const {
  if (subtrees_.empty()) return 0;
  double total = subtrees_.back();
  for (size_t i = subtrees_.size() - 1; i > 0; --i) {
    total = subtrees_[i - 1] + total;
  }
  return total;
}

}  // namespace actserve
