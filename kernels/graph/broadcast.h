// How a small tensor is read as if it had a larger shape: along some dimensions
// of that shape it repeats. NumPy calls this broadcasting.
//
// The gradient of the small tensor sums the terms of all elements of the large
// shape that read the same element. One order, fixed by the shape, gives the
// bits, whatever the threads, the batch and the device:
//
// 1. If the last dimension is repeated, each run of neighbours that read one
//    element is summed along summation.h.
// 2. What is left of the repeated dimensions is summed one after the other, the
//    innermost first. Its terms, in float64, are cut by index into groups of
//    kSumGroup; a group is added up in order, from +0; the groups' sums are
//    combined as tile sums are (step 4 of summation.h).
//
// A tensor that repeats along every dimension is a number, and its gradient is
// what summation.h says.

#ifndef ACTSERVE_KERNELS_GRAPH_BROADCAST_H_
#define ACTSERVE_KERNELS_GRAPH_BROADCAST_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace actserve {

inline constexpr int64_t kSumGroup = 64;

// Value type.
class Broadcast {
 public:
  struct Dimension {
    int64_t size = 1;
    bool repeated = false;
    bool operator==(const Dimension&) const = default;
  };

  // A number, read as a number.
  Broadcast() = default;
  // `dimensions` of the large shape, the outermost first. Their sizes multiply
  // to less than 2^63.
  explicit Broadcast(absl::Span<const Dimension> dimensions);

  // The same in the fewest dimensions: kept and repeated ones alternate, and
  // none has the size 1.
  absl::Span<const Dimension> dimensions() const { return dimensions_; }
  // Of the small tensor, and of the large shape.
  int64_t num_elements() const { return num_elements_; }
  int64_t num_read() const { return num_read_; }

  // The element of the small tensor that is read at `element` of the large
  // shape.
  int64_t IndexOf(int64_t element) const;

  bool operator==(const Broadcast&) const = default;

 private:
  std::vector<Dimension> dimensions_;
  int64_t num_elements_ = 1;
  int64_t num_read_ = 1;
};

// Combines the sums of `num_groups` groups, rows of `width`, and leaves the
// result in the first row.
void CombineGroups(double* groups, int64_t num_groups, int64_t width);

// Step 2 for all dimensions that are left after step 1.
std::vector<double> SumOuterDimensions(const Broadcast& broadcast,
                                       std::vector<double> run_sums);

// Both steps: `terms`, one for each element of the large shape, give one sum
// for each element of the small tensor.
std::vector<double> SumLike(const Broadcast& broadcast,
                            absl::Span<const float> terms);
std::vector<double> SumLike(const Broadcast& broadcast,
                            absl::Span<const double> terms);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_BROADCAST_H_
