// Properties of a gradient that an author declared. Straight-through estimators
// and surrogates are linear in the upstream gradient; gradient clipping is not.

#ifndef ACTSERVE_KERNELS_GRAPH_PASSES_DECLARED_H_
#define ACTSERVE_KERNELS_GRAPH_PASSES_DECLARED_H_

#include "kernels/graph/graph.h"

namespace actserve {

// True if each output of `gradient` is linear in its last input, as far as its
// form shows: sums and choices of that input times what does not depend on it.
// Only then there are partial derivatives, and the gradient can be used inside
// other activations.
bool IsLinearInUpstream(const Graph& gradient);

// Returns `gradient` with 1 in place of its last input, the upstream gradient.
Graph WithUnitUpstream(const Graph& gradient);

// Returns `graph` with every kDeclared replaced by its value. Programs need
// only values.
Graph WithoutDeclared(const Graph& graph);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_PASSES_DECLARED_H_
