// Defines the pass that differentiates a graph with row ops, in reverse mode.
//
// The row ops cut a graph into levels. Inside a level elements do not meet, so
// the rules of differentiate.h hold. Across levels the sensitivity of a row op
// is a sum over its row, and its operand receives
//
//   rowsum  the sensitivity, at every element
//   rowmax  equal shares at the elements that are the maximum, 0 elsewhere; NaN
//           if the maximum is NaN
//   rowsize, rowindex  nothing
//
// A row op with a number for each element passes its sensitivity on by element:
// what was sorted goes back, what was shifted too, and a scan runs the other
// way. The keys of a sort receive nothing.
//
// A sensitivity that vanishing.h finds to be 0 is not passed on: the maximum
// that softmax subtracts takes no part in its gradient. So where terms of it
// are infinite, they do not make the gradient NaN. A term of a sensitivity that
// is 0 by itself is left out: the mean takes no part in that of the variance.
//
// The result is a graph with row ops again, so the pass applies to it too.

#ifndef ACTSERVE_KERNELS_GRAPH_DERIVE_PULL_BACK_H_
#define ACTSERVE_KERNELS_GRAPH_DERIVE_PULL_BACK_H_

#include <vector>

#include "absl/types/span.h"
#include "kernels/graph/graph.h"

namespace actserve {

// Adds to `graph` the gradients of the sum of `upstream` times `output`, over
// all elements, with respect to each of `variables`, inputs or parameters. Of
// an input it is the gradient at an element; of a parameter the element's term
// of it, which is to be summed. kNoNode if `output` does not depend on the
// variable, or only through what is flat.
std::vector<NodeId> PullBack(Graph& graph, NodeId output, NodeId upstream,
                             absl::Span<const NodeId> variables);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_DERIVE_PULL_BACK_H_
