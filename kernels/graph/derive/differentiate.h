// Defines the pass that differentiates a graph, in forward mode.
//
// The derivative of a choice is the choice of the derivatives, so an infinity
// or NaN in the branch not taken never reaches the gradient. A node that does
// not depend on the variable has no derivative at all, rather than a 0 to
// multiply with.
//
// At kinks: max and min at a tie give each side half, abs' (0) is 0, sqrt'(0)
// is +inf, floor and its like are flat, d(x % y)/dy is -floor(x / y). The
// derivative of x**y is 0 in x where y is 0, and in y where x is 0 <= y.
//
// The derivatives of functions stand in their rows of the op table. Those of
// the stable primitives are stable expressions, so the pass may be applied to
// its own result. An op without a derivative ends the process.

#ifndef ACTSERVE_KERNELS_GRAPH_DERIVE_DIFFERENTIATE_H_
#define ACTSERVE_KERNELS_GRAPH_DERIVE_DIFFERENTIATE_H_

#include "kernels/graph/graph.h"

namespace actserve {

// Adds to `graph` the derivative of `node` with respect to `variable`: an
// input, a parameter, or a row op. kNoNode if `node` does not depend on it, or
// only through what is flat. Row ops are constants here, but for `variable`
// itself: pull_back.h differentiates through them.
NodeId Differentiate(Graph& graph, NodeId node, NodeId variable);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_DERIVE_DIFFERENTIATE_H_
