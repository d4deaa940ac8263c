// Defines the pass that removes what computing need not do: rules that hold
// for every IEEE 754 value, bit for bit, zeros' signs, infinities and NaN
// included (any NaN equals any NaN). `x * 0 -> 0` or `x - x -> 0` are not
// among them.
//
// The rules are applied as nodes are added, so that the passes which build
// large graphs (differentiate.h) never hold the large one. It runs before
// stabilize.h, whose patterns then have fewer spellings to know, and at the
// end, where it drops what nothing needs.

#ifndef ACTSERVE_KERNELS_GRAPH_PASSES_SIMPLIFY_H_
#define ACTSERVE_KERNELS_GRAPH_PASSES_SIMPLIFY_H_

#include "kernels/graph/graph.h"

namespace actserve {

// What graph.Add(op, a, b, c) gives, or a simpler node with the same value.
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
