#ifndef ACTSERVE_KERNELS_GRAPH_PASSES_POWER_H_
#define ACTSERVE_KERNELS_GRAPH_PASSES_POWER_H_

#include "kernels/graph/graph.h"

namespace actserve {

// Returns base ** exponent. Whole exponents from -2 to 6 become products (at
// most 2.5 units in the last place, and what people write as x*x*x), 1/2 a
// square root; the rest is kPow. Zeros' signs, infinities and NaN are those of
// IEEE 754 pow, so 0 is the constant 1 even at NaN.
NodeId Power(Graph& graph, NodeId base, double exponent);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_PASSES_POWER_H_
