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
  const auto make = [&](Op op, NodeId a, NodeId b = kNoNode) {
    return AddSimplified(graph, op, a, b);
  };
  const auto tangent_of_row_op = [&](NodeId id) -> NodeId {
    const Node node = graph.node(id);
    if (node.op == Op::kRowSize || node.op == Op::kRowIndex) return kNoNode;
    const NodeId first = tangent_of(node.operands[0]);
    if (node.op == Op::kRowScan || node.op == Op::kRowScanBack) {
      NodeId terms = tangent_of(node.operands[1]);
      if (first != kNoNode) {
        const Op before =
            node.op == Op::kRowScan ? Op::kRowShift : Op::kRowShiftBack;
        const NodeId by_a = zeros.Times(first, make(before, id));
        terms = terms == kNoNode ? by_a : make(Op::kAdd, by_a, terms);
      }
      if (terms == kNoNode) return kNoNode;
      return make(node.op, node.operands[0], terms);
    }
    if (node.op == Op::kRowSort || node.op == Op::kRowUnsort) {
      const NodeId moved = tangent_of(node.operands[1]);
      if (moved == kNoNode) return kNoNode;
      return make(node.op, node.operands[0], moved);
    }
    if (first == kNoNode) return kNoNode;
    if (node.op != Op::kRowMax) return make(node.op, first);
    return make(Op::kDiv, make(Op::kRowSum, WhereMax(graph, id, first)),
                CountMax(graph, id));
  };
  for (const NodeId row_op : RowOpsOf(graph, output)) {
    const NodeId tangent = tangent_of_row_op(row_op);
    if (tangent != kNoNode) moving.push_back({row_op, tangent});
  }
  return tangent_of(output);
}

}  // namespace actserve
