#ifndef ACTSERVE_KERNELS_GRAPH_ROW_MAX_H_
#define ACTSERVE_KERNELS_GRAPH_ROW_MAX_H_

#include "absl/types/span.h"

namespace actserve {

// The largest number; NaN if one is NaN, -inf of none. The order does not
// matter but for the sign of a zero.
float MaxOrNaN(absl::Span<const float> numbers);
double MaxOrNaN(absl::Span<const double> numbers);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_ROW_MAX_H_
