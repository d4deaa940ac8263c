// The numbers of the tree of kernels/graph/summation.h, and its levels.

constexpr unsigned kLanes = 128;
constexpr unsigned kSumTile = 4096;

// One level of the tree: of the first `size` of kParts parts, pairs become one
// and an odd last one stays. All levels below kParts, into part[0].
template <int kParts>
ACTSERVE_DEVICE void Combine(double* part, unsigned size) {
  if constexpr (kParts > 1) {
    ACTSERVE_UNROLL
    for (int i = 0; i < kParts / 2; ++i) {
      const double pair = part[2 * i] + part[2 * i + 1];
      part[i] = 2 * i + 1 < size ? pair : part[2 * i];
    }
    Combine<kParts / 2>(part, (size + 1) / 2);
  }
}
