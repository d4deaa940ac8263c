// How the gradient of a parameter is summed over elements: one tree, fixed by
// element index, the same on every device, so that the bits do not depend on
// threads, vector width, batching or chunking.
//
// 1. Elements are cut into tiles of kSumTileElements, by index: element e is
//    element i = e mod 4096 of tile e / 4096. The last tile may be shorter.
// 2. Each tile has kSumLanes lanes of float64, all +0 at first. In increasing
//    i, the contribution of element i is converted to float64 (exactly) and
//    added to lane i mod 128.
// 3. Lanes are combined by halving: for stride 64, 32, 16, 8, 4, 2, 1, lane j
//    becomes lane j + lane (j + stride), for every j < stride. Lane 0 is the
//    tile's sum.
// 4. Tile sums are combined level by level: on each level, sums 2j and 2j+1
//    become one, their sum in this order; an odd last one moves up as it is.
//    The one left is the result. No tile: +0.

#ifndef ACTSERVE_KERNELS_GRAPH_SUMMATION_H_
#define ACTSERVE_KERNELS_GRAPH_SUMMATION_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace actserve {

inline constexpr int64_t kSumTileElements = 4096;
inline constexpr int64_t kSumLanes = 128;

// Steps 2 and 3 for one tile of at most kSumTileElements contributions.
double SumTile(absl::Span<const float> contributions);
double SumTile(absl::Span<const double> contributions);

// Step 4. Uses `tile_sums` as its working space.
double SumTiles(absl::Span<double> tile_sums);

// All steps for any number of contributions.
double Sum(absl::Span<const float> contributions);
double Sum(absl::Span<const double> contributions);

// The sum of contributions that come in pieces, with the bits of Sum() of all.
// Every piece but the last has as many tiles as the first, a power of two.
// Keeps one number for each level of the tree.
class PiecewiseSum {
 public:
  // `sum` is Sum() of the next piece, which is not empty.
  void Add(double sum);
  // Of the pieces so far; +0 without one.
  double Total() const;

 private:
  int64_t num_pieces_ = 0;
  // The sums of whole subtrees, the largest first.
  std::vector<double> subtrees_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_SUMMATION_H_
