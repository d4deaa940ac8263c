#include "kernels/graph/derive/pull_back.h"

#include <vector>

#include "kernels/graph/derive/differentiate.h"
#include "kernels/graph/derive/row_ops.h"
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
    const std::vector<NodeId> row_ops = RowOpsOf(graph_, output);
    for (size_t i = row_ops.size(); i-- > 0;) {
      if (IsByElement(graph_.node(row_ops[i]).op)) {
        const NodeId terms = Along(row_ops[i]);
        if (terms != kNoNode) PassOn(row_ops[i], terms);
        continue;
      }
      const NodeId terms = Sum(WithoutZeros(TermsAlong(row_ops[i])));
      if (terms == kNoNode) continue;
      const NodeId sensitivity = SumOverRow(graph_, terms);
      if (!vanishing_.IsZero(sensitivity)) PassOn(row_ops[i], sensitivity);
    }
  }

  // The sum of what every sensitive node passes on to `variable`, a leaf or a
  // row op, inside its level.
  NodeId Along(NodeId variable) { return Sum(TermsAlong(variable)); }

 private:
  std::vector<NodeId> TermsAlong(NodeId variable) {
    std::vector<NodeId> terms;
    for (const auto& [node, sensitivity] : sensitive_) {
      const NodeId tangent = Differentiate(graph_, node, variable);
      if (tangent == kNoNode) continue;
      terms.push_back(zeros_.Times(tangent, sensitivity));
    }
    return terms;
  }

  // Of several terms, those whose sum over the row is not 0 by itself.
  std::vector<NodeId> WithoutZeros(std::vector<NodeId> terms) {
    if (terms.size() > 1) {
      std::erase_if(terms, [this](NodeId term) {
        return vanishing_.IsZero(SumOverRow(graph_, term));
      });
    }
    return terms;
  }

  NodeId Sum(const std::vector<NodeId>& terms) {
    NodeId sum = kNoNode;
    for (const NodeId term : terms) {
      sum = sum == kNoNode ? term : Make(Op::kAdd, sum, term);
    }
    return sum;
  }

  // A node, and the derivative of the result with respect to it, by element.
  struct Sensitive {
    NodeId node;
    NodeId sensitivity;
  };

  // From the row op `id` to its operand.
  void PassOn(NodeId id, NodeId sensitivity) {
    const Node node = graph_.node(id);
    const NodeId operand = node.operands[0];
    const NodeId second = node.operands[1];
    switch (node.op) {
      case Op::kRowSum:
        sensitive_.push_back({operand, sensitivity});
        break;
      case Op::kRowMax:
        sensitive_.push_back({operand, WhereMax(graph_, id,
                                                Make(Op::kDiv, sensitivity,
                                                     CountMax(graph_, id)))});
        break;
      case Op::kRowSort:
        sensitive_.push_back(
            {second, Make(Op::kRowUnsort, operand, sensitivity)});
        break;
      case Op::kRowUnsort:
        sensitive_.push_back(
            {second, Make(Op::kRowSort, operand, sensitivity)});
        break;
      case Op::kRowScan:
        PassOnScan(id, sensitivity, Op::kRowScanBack, Op::kRowShift,
                   Op::kRowShiftBack);
        break;
      case Op::kRowScanBack:
        PassOnScan(id, sensitivity, Op::kRowScan, Op::kRowShiftBack,
                   Op::kRowShift);
        break;
      case Op::kRowShift:
        sensitive_.push_back({operand, Make(Op::kRowShiftBack, sensitivity)});
        break;
      case Op::kRowShiftBack:
        sensitive_.push_back({operand, Make(Op::kRowShift, sensitivity)});
        break;
      default:
        break;
    }
  }

  // Of s[i] = a[i] s[i-1] + b[i] with the sensitivity g: b receives
  // l[i] = a[i+1] l[i+1] + g[i], and a receives l[i] s[i-1]. `back` scans the
  // other way, `before` gives s[i-1], `after` a[i+1].
  void PassOnScan(NodeId id, NodeId sensitivity, Op back, Op before, Op after) {
    const Node node = graph_.node(id);
    const NodeId a = node.operands[0];
    const NodeId to_b = Make(back, Make(after, a), sensitivity);
    sensitive_.push_back({node.operands[1], to_b});
    if (!graph_.is_constant(a)) {
      sensitive_.push_back({a, zeros_.Times(to_b, Make(before, id))});
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
