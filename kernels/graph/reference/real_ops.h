// The interpreter on real numbers of 320 bits: what each op means exactly. The
// oracle of this folder's tests; shares no code with kernels/math.

#ifndef ACTSERVE_KERNELS_GRAPH_REFERENCE_REAL_OPS_H_
#define ACTSERVE_KERNELS_GRAPH_REFERENCE_REAL_OPS_H_

#include <vector>

#include "absl/types/span.h"
#include "kernels/graph/interpret.h"
#include "kernels/math/reference/real.h"

namespace actserve {

template <>
struct NumberOps<testing::Real> {
  static testing::Real FromDouble(double value) { return value; }
  // NaN for an op that has no reference here; a test holds every row to one.
  static testing::Real Apply(Op op, const testing::Real& a,
                             const testing::Real& b);
  static testing::Real Draw(Op op, const DrawOperands& operands);
  static bool Compare(Op op, const testing::Real& a, const testing::Real& b);
  static std::vector<testing::Real> ApplyToRow(
      Op op, absl::Span<const testing::Real> a,
      absl::Span<const testing::Real> b);
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_REFERENCE_REAL_OPS_H_
