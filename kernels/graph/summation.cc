#include "kernels/graph/summation.h"

#include <cstddef>
#include <vector>

namespace actserve {
namespace {

// Step 3 over the first kLanes lanes.
template <size_t kLanes>
[[gnu::always_inline]] inline double Combine(double* lanes) {
  for (size_t stride = kLanes / 2; stride > 0; stride /= 2) {
    for (size_t j = 0; j < stride; ++j) lanes[j] += lanes[j + stride];
  }
  return lanes[0];
}

// Of at most kLanes contributions, one for each lane. The other lanes are +0,
// and a sum with them changes nothing.
template <size_t kLanes, typename T>
[[gnu::always_inline]] inline double SumFew(const T* contributions,
                                            size_t num_elements) {
  alignas(64) double lanes[kLanes] = {};
  for (size_t j = 0; j < num_elements; ++j) {
    lanes[j] += static_cast<double>(contributions[j]);
  }
  return Combine<kLanes>(lanes);
}

// Inlined into one function per instruction set; additions are in the stated
// order in all of them, so the width of the vectors does not show.
template <typename T>
[[gnu::always_inline]] inline double SumTileLanes(const T* contributions,
                                                  size_t num_elements) {
  if (num_elements <= 8) return SumFew<8>(contributions, num_elements);
  if (num_elements <= 32) return SumFew<32>(contributions, num_elements);
  if (num_elements <= 64) return SumFew<64>(contributions, num_elements);
  alignas(64) double lanes[kSumLanes] = {};
  size_t i = 0;
  for (; i + kSumLanes <= num_elements; i += kSumLanes) {
    for (size_t j = 0; j < kSumLanes; ++j) {
      lanes[j] += static_cast<double>(contributions[i + j]);
    }
  }
  for (size_t j = 0; i + j < num_elements; ++j) {
    lanes[j] += static_cast<double>(contributions[i + j]);
  }
  return Combine<kSumLanes>(lanes);
}

template <typename T>
double SumTilePortable(const T* contributions, size_t num_elements) {
  return SumTileLanes(contributions, num_elements);
}

#if defined(__x86_64__)
template <typename T>
[[gnu::target("avx512f,prefer-vector-width=512")]] double SumTileAvx512(
    const T* contributions, size_t num_elements) {
  return SumTileLanes(contributions, num_elements);
}

template <typename T>
[[gnu::target("avx2")]] double SumTileAvx2(const T* contributions,
                                           size_t num_elements) {
  return SumTileLanes(contributions, num_elements);
}
#endif

template <typename T>
using SumTileFunction = double (*)(const T*, size_t);

template <typename T>
SumTileFunction<T> BestSumTile() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return &SumTileAvx512<T>;
  if (__builtin_cpu_supports("avx2")) return &SumTileAvx2<T>;
#endif
  return &SumTilePortable<T>;
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
  static const SumTileFunction<float> sum = BestSumTile<float>();
  return sum(contributions.data(), contributions.size());
}

double SumTile(absl::Span<const double> contributions) {
  static const SumTileFunction<double> sum = BestSumTile<double>();
  return sum(contributions.data(), contributions.size());
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

}  // namespace actserve
