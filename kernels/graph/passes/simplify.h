// Defines the pass that removes needless operations. Its rules hold for every
// IEEE 754 value, bit for bit: signs of zeros, infinities and NaN included (any
// NaN equals any NaN). `x * 0 -> 0` or `x - x -> 0` are not among them.
//
// Rules are applied as nodes are added, so passes that build large graphs
// (differentiate.h) never hold the large one. The pass runs before stabilize.h,
// whose patterns then need fewer spellings, and again at the end, where it
// drops unused nodes.

#ifndef ACTSERVE_KERNELS_GRAPH_PASSES_SIMPLIFY_H_
#define ACTSERVE_KERNELS_GRAPH_PASSES_SIMPLIFY_H_

#include "kernels/graph/graph.h"

namespace actserve {

// Returns graph.Add(op, a, b, c), or a simpler node with the same value.
NodeId AddSimplified(Graph& graph, Op op, NodeId a, NodeId b = kNoNode,
                     NodeId c = kNoNode);

// `graph` without dead nodes, every rule applied. Inputs, parameters and
// outputs keep their names and order.
Graph Simplify(const Graph& graph);

// The op applied to constants (a, b of kConstant; op returns a real) in
// float64, as Python evaluates constant expressions.
double FoldConstants(Op op, double a, double b);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_PASSES_SIMPLIFY_H_
