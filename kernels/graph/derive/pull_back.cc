#include "kernels/graph/derive/pull_back.h"

#include <limits>
#include <vector>

#include "kernels/graph/derive/differentiate.h"
#include "kernels/graph/derive/vanishing.h"
#include "kernels/graph/passes/exact_zeros.h"
#include "kernels/graph/passes/simplify.h"

namespace actserve {
namespace {

class Puller {
 public:
  explicit Puller(Graph& graph)
      : graph_(graph), zeros_(graph), vanishing_(graph) {}

  void Run(NodeId output, NodeId upstream) {
    sensitive_ = {{output, upstream}};
    const std::vector<NodeId> row_ops = RowOpsOf(output);
    for (size_t i = row_ops.size(); i-- > 0;) {
      const NodeId terms = Along(row_ops[i]);
      if (terms == kNoNode) continue;
      const NodeId sensitivity = Make(Op::kRowSum, terms);
      if (!vanishing_.IsZero(sensitivity)) PassOn(row_ops[i], sensitivity);
    }
  }

  // The sum of what every sensitive node passes on to `variable`, a leaf or a
  // row op, inside its level.
  NodeId Along(NodeId variable) {
    NodeId sum = kNoNode;
    for (const auto& [node, sensitivity] : sensitive_) {
      const NodeId tangent = Differentiate(graph_, node, variable);
      if (tangent == kNoNode) continue;
      const NodeId term = zeros_.Times(tangent, sensitivity);
      sum = sum == kNoNode ? term : Make(Op::kAdd, sum, term);
    }
    return sum;
  }

 private:
  // A node, and the derivative of the result with respect to it, by element.
  struct Sensitive {
    NodeId node;
    NodeId sensitivity;
  };

  // In topological order.
  std::vector<NodeId> RowOpsOf(NodeId output) const {
    std::vector<bool> needed(output + 1, false);
    needed[output] = true;
    std::vector<NodeId> row_ops;
    for (NodeId i = output; i >= 0; --i) {
      if (!needed[i]) continue;
      for (NodeId operand : graph_.node(i).operands) {
        if (operand != kNoNode) needed[operand] = true;
      }
      if (Info(graph_.node(i).op).reads_row) row_ops.push_back(i);
    }
    return {row_ops.rbegin(), row_ops.rend()};
  }

  // From the row op `id` to its operand.
  void PassOn(NodeId id, NodeId sensitivity) {
    const Node node = graph_.node(id);
    const NodeId operand = node.operands[0];
    switch (node.op) {
      case Op::kRowSum:
        sensitive_.push_back({operand, sensitivity});
        break;
      case Op::kRowMax: {
        const NodeId is_max = Make(Op::kEqual, operand, id);
        const NodeId zero = graph_.Constant(0);
        const NodeId count = Make(
            Op::kRowSum, Make(Op::kSelect, is_max, graph_.Constant(1), zero));
        const NodeId nan =
            graph_.Constant(std::numeric_limits<double>::quiet_NaN());
        const NodeId other =
            Make(Op::kSelect, Make(Op::kEqual, id, id), zero, nan);
        sensitive_.push_back(
            {operand, Make(Op::kSelect, is_max,
                           Make(Op::kDiv, sensitivity, count), other)});
        break;
      }
      default:
        break;
    }
  }

  NodeId Make(Op op, NodeId a, NodeId b = kNoNode, NodeId c = kNoNode) {
    return AddSimplified(graph_, op, a, b, c);
  }

  Graph& graph_;
  ExactZeros zeros_;
  Vanishing vanishing_;
  std::vector<Sensitive> sensitive_;
};

}  // namespace

std::vector<NodeId> PullBack(Graph& graph, NodeId output, NodeId upstream,
                             absl::Span<const NodeId> variables) {
  Puller puller(graph);
  puller.Run(output, upstream);
  std::vector<NodeId> gradients;
  for (const NodeId variable : variables) {
    gradients.push_back(puller.Along(variable));
  }
  return gradients;
}

}  // namespace actserve
