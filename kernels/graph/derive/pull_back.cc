#include "kernels/graph/derive/pull_back.h"

#include <vector>

#include "kernels/graph/derive/differentiate.h"
#include "kernels/graph/derive/row_ops.h"
#include "kernels/graph/passes/exact_zeros.h"
#include "kernels/graph/passes/simplify.h"

namespace actserve {
namespace {

class Puller {
 public:
  explicit Puller(Graph& graph) : graph_(graph), zeros_(graph) {}

  void Run(NodeId output, NodeId upstream) {
    sensitive_ = {{output, upstream}};
    const std::vector<NodeId> row_ops = RowOpsOf(graph_, output);
    for (size_t i = row_ops.size(); i-- > 0;) {
      const NodeId terms = Along(row_ops[i]);
      if (terms != kNoNode) PassOn(row_ops[i], Make(Op::kRowSum, terms));
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

  // From the row op `id` to its operand.
  void PassOn(NodeId id, NodeId sensitivity) {
    const Node node = graph_.node(id);
    const NodeId operand = node.operands[0];
    switch (node.op) {
      case Op::kRowSum:
        sensitive_.push_back({operand, sensitivity});
        break;
      case Op::kRowMax:
        sensitive_.push_back({operand, WhereMax(graph_, id,
                                                Make(Op::kDiv, sensitivity,
                                                     CountMax(graph_, id)))});
        break;
      default:
        break;
    }
  }

  NodeId Make(Op op, NodeId a, NodeId b = kNoNode, NodeId c = kNoNode) {
    return AddSimplified(graph_, op, a, b, c);
  }

  Graph& graph_;
  ExactZeros zeros_;
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
