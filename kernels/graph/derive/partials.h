#ifndef ACTSERVE_KERNELS_GRAPH_DERIVE_PARTIALS_H_
#define ACTSERVE_KERNELS_GRAPH_DERIVE_PARTIALS_H_

#include "kernels/graph/graph.h"

namespace actserve {

// The derivative of `op` in operand `index` that its row gives, as a graph of
// one output: its inputs are the op's operands and then the op's own value.
// Compiled once per process. Ends the process if the row gives none.
const Graph& Partial(Op op, int index);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_DERIVE_PARTIALS_H_
