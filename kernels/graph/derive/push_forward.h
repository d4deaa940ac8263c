// Defines the pass that differentiates a graph in forward mode along given
// directions, through row ops too. Where pull_back.h goes from a result to the
// variables, this goes from the variables to the result:
//
//   rowsum  the sum of the tangents over the row
//   rowmax  the mean of the tangents at the elements that are the maximum; NaN
//           if the maximum is NaN
//   rowsize, rowindex  0
//
// Tangents are sorted, shifted and scanned like the values.

#ifndef ACTSERVE_KERNELS_GRAPH_DERIVE_PUSH_FORWARD_H_
#define ACTSERVE_KERNELS_GRAPH_DERIVE_PUSH_FORWARD_H_

#include "absl/types/span.h"
#include "kernels/graph/graph.h"

namespace actserve {

// A variable, an input or a parameter, and the direction it moves in.
struct Direction {
  NodeId variable = kNoNode;
  NodeId tangent = kNoNode;
};

// Adds to `graph` the tangent of `output`: the sum over `directions` of the
// derivative by the variable times its tangent. kNoNode if it is 0 everywhere.
NodeId PushForward(Graph& graph, NodeId output,
                   absl::Span<const Direction> directions);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_DERIVE_PUSH_FORWARD_H_
