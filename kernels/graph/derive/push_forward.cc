#include "kernels/graph/derive/push_forward.h"

#include <vector>

#include "kernels/graph/derive/differentiate.h"
#include "kernels/graph/derive/row_ops.h"
#include "kernels/graph/passes/exact_zeros.h"
#include "kernels/graph/passes/simplify.h"

namespace actserve {

NodeId PushForward(Graph& graph, NodeId output,
                   absl::Span<const Direction> directions) {
  ExactZeros zeros(graph);
  // Those given, and then the row ops that move with them.
  std::vector<Direction> moving(directions.begin(), directions.end());
  const auto tangent_of = [&](NodeId node) {
    NodeId sum = kNoNode;
    for (const auto& [variable, tangent] : moving) {
      const NodeId derivative = Differentiate(graph, node, variable);
      if (derivative == kNoNode) continue;
      const NodeId term = zeros.Times(derivative, tangent);
      sum = sum == kNoNode ? term : AddSimplified(graph, Op::kAdd, sum, term);
    }
    return sum;
  };
  for (const NodeId row_op : RowOpsOf(graph, output)) {
    const Op op = graph.node(row_op).op;
    if (op == Op::kRowSize) continue;
    const NodeId tangent = tangent_of(graph.node(row_op).operands[0]);
    if (tangent == kNoNode) continue;
    if (op == Op::kRowSum) {
      moving.push_back({row_op, AddSimplified(graph, Op::kRowSum, tangent)});
    } else {
      const NodeId sum =
          AddSimplified(graph, Op::kRowSum, WhereMax(graph, row_op, tangent));
      moving.push_back({row_op, AddSimplified(graph, Op::kDiv, sum,
                                              CountMax(graph, row_op))});
    }
  }
  return tangent_of(output);
}

}  // namespace actserve
