#include "kernels/graph/derive/differentiate.h"

#include <limits>
#include <vector>

#include "kernels/graph/build/formula.h"
#include "kernels/graph/derive/partials.h"
#include "kernels/graph/passes/exact_zeros.h"
#include "kernels/graph/passes/power.h"
#include "kernels/graph/passes/simplify.h"

namespace actserve {
namespace {

class Differentiator {
 public:
  Differentiator(Graph& graph, NodeId variable)
      : graph_(graph), zeros_(graph), variable_(variable) {}

  NodeId Run(NodeId node) {
    const std::vector<bool> needed = graph_.NodesFor(
        {node}, [&](NodeId i) { return Info(graph_.node(i).op).reads_row; });
    std::vector<NodeId> tangents(node + 1, kNoNode);
    for (NodeId i = 0; i <= node; ++i) {
      if (!needed[i] || graph_.is_bool(i)) continue;
      const Node at = graph_.node(i);
      const auto tangent = [&](int index) {
        const NodeId operand = at.operands[index];
        return operand == kNoNode ? kNoNode : tangents[operand];
      };
      tangents[i] = Tangent(i, at, tangent(0), tangent(1), tangent(2));
    }
    return tangents[node];
  }

 private:
  NodeId Tangent(NodeId id, const Node& node, NodeId da, NodeId db, NodeId dc) {
    if (id == variable_) return graph_.Constant(1);
    if (Info(node.op).reads_row) return kNoNode;
    if (da == kNoNode && db == kNoNode && dc == kNoNode) return kNoNode;
    const NodeId a = node.operands[0], b = node.operands[1];
    // Ops that are structure, or whose tangent depends on more than values.
    switch (node.op) {
      case Op::kAdd:
        return Sum(da, db);
      case Op::kSub:
        return Sum(da, Minus(db));
      case Op::kMul:
        if (a == b) return Times(Mul(Constant(2), a), da);
        return Sum(Times(b, da), Times(a, db));
      case Op::kDiv: {
        const NodeId scaled = Minus(Times(id, db));
        return Over(Sum(da, scaled), b);
      }
      case Op::kNeg:
        return Minus(da);
      case Op::kMin:
        return Extremum(a, b, da, db);
      case Op::kMax:
        return Extremum(b, a, da, db);
      case Op::kSelect:
        return SelectTangent(a, db, dc);
      case Op::kDeclared:
        return db;
      case Op::kPow:
        return Sum(Times(PowInBase(a, b), da), Times(PowInExponent(id), db));
      default:
        return Sum(Along(id, 0, da), Along(id, 1, db));
    }
  }

  // The part of the tangent of `id` that comes from operand `index`, by the
  // row of its op.
  NodeId Along(NodeId id, int index, NodeId tangent) {
    if (tangent == kNoNode) return kNoNode;
    const Node node = graph_.node(id);
    const Graph& partial = Partial(node.op, index);
    const NodeId value = partial.outputs[0].node;
    if (partial.is_constant(value, 0)) return kNoNode;
    if (partial.is_constant(value, 1)) return tangent;
    const auto leaf = [&](const Node& input) {
      return input.index < Info(node.op).arity
                 ? Value(node.operands[input.index])
                 : id;
    };
    return Times(AddFormula(partial, graph_, leaf), tangent);
  }

  // da where a < b, db where b < a, half of both at a tie, NaN where there is
  // no order: for min(a, b), and with a and b exchanged for max(a, b).
  NodeId Extremum(NodeId a, NodeId b, NodeId da, NodeId db) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const NodeId half =
        Make(Op::kSelect, Make(Op::kEqual, a, b), Constant(0.5), Constant(nan));
    const NodeId tie = Times(half, Sum(da, db));
    const auto or_zero = [this](NodeId tangent) {
      return tangent == kNoNode ? Constant(0) : tangent;
    };
    return Make(Op::kSelect, Make(Op::kLess, a, b), or_zero(da),
                Make(Op::kSelect, Make(Op::kLess, b, a), or_zero(db), tie));
  }

  NodeId SelectTangent(NodeId condition, NodeId db, NodeId dc) {
    if (db == kNoNode) db = Constant(0);
    if (dc == kNoNode) dc = Constant(0);
    return Make(Op::kSelect, condition, db, dc);
  }

  NodeId PowInBase(NodeId x, NodeId y) {
    if (graph_.is_constant(y)) {
      const double exponent = graph_.node(y).constant;
      return Mul(y, Power(graph_, x, exponent - 1));
    }
    const NodeId slope = Mul(y, Make(Op::kPow, x, Sub(y, Constant(1))));
    return Make(Op::kSelect, Make(Op::kEqual, y, Constant(0)), Constant(0),
                slope);
  }

  NodeId PowInExponent(NodeId power) {
    const NodeId x = graph_.node(power).operands[0];
    const NodeId y = graph_.node(power).operands[1];
    const NodeId flat = Make(Op::kAnd, Make(Op::kEqual, x, Constant(0)),
                             Make(Op::kLessEqual, Constant(0), y));
    return Make(Op::kSelect, flat, Constant(0), Mul(power, Make(Op::kLog, x)));
  }

  // Operations on tangents; kNoNode stands for a tangent of 0.
  NodeId Sum(NodeId a, NodeId b) {
    if (a == kNoNode) return b;
    if (b == kNoNode) return a;
    return Add(a, b);
  }
  NodeId Minus(NodeId tangent) {
    return tangent == kNoNode ? kNoNode : zeros_.Negated(tangent);
  }
  NodeId Times(NodeId factor, NodeId tangent) {
    if (tangent == kNoNode) return kNoNode;
    return zeros_.Times(Value(factor), tangent);
  }
  NodeId Over(NodeId tangent, NodeId divisor) {
    return zeros_.Over(tangent, Value(divisor));
  }
  // `id`, or what it holds constant: only this derivative takes it for a
  // constant, the derivative of this derivative does not.
  NodeId Value(NodeId id) const {
    while (graph_.node(id).op == Op::kDeclared &&
           graph_.is_constant(graph_.node(id).operands[1], 0)) {
      id = graph_.node(id).operands[0];
    }
    return id;
  }

  NodeId Make(Op op, NodeId a, NodeId b = kNoNode, NodeId c = kNoNode) {
    return AddSimplified(graph_, op, a, b, c);
  }
  NodeId Constant(double value) { return graph_.Constant(value); }
  NodeId Add(NodeId a, NodeId b) { return Make(Op::kAdd, a, b); }
  NodeId Sub(NodeId a, NodeId b) { return Make(Op::kSub, a, b); }
  NodeId Mul(NodeId a, NodeId b) { return Make(Op::kMul, a, b); }

  Graph& graph_;
  ExactZeros zeros_;
  const NodeId variable_;
};

}  // namespace

NodeId Differentiate(Graph& graph, NodeId node, NodeId variable) {
  return Differentiator(graph, variable).Run(node);
}

}  // namespace actserve
