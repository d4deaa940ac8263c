#ifndef ACTSERVE_KERNELS_GRAPH_DERIVE_ROW_OPS_H_
#define ACTSERVE_KERNELS_GRAPH_DERIVE_ROW_OPS_H_

#include <vector>

#include "kernels/graph/graph.h"

namespace actserve {

// The row ops that `node` needs, in topological order, itself included.
std::vector<NodeId> RowOpsOf(const Graph& graph, NodeId node);

// Adds `at` where the operand of `row_max`, a kRowMax, is the maximum; 0
// elsewhere, but NaN everywhere if the maximum is NaN.
NodeId WhereMax(Graph& graph, NodeId row_max, NodeId at);

// Adds the sum of `terms` over the row. Factors and divisors of a term that are
// the same for the whole row are taken out of the sum, which leaves less to
// compute for each element, and fewer roundings. Two terms that both have some
// become two sums, which need not wait for what was taken out.
NodeId SumOverRow(Graph& graph, NodeId terms);

// Adds the number of elements that are the maximum.
NodeId CountMax(Graph& graph, NodeId row_max);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_DERIVE_ROW_OPS_H_
