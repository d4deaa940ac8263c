#include "kernels/graph/passes/exact_zeros.h"

#include "kernels/graph/passes/simplify.h"

namespace actserve {

NodeId ExactZeros::Times(NodeId a, NodeId b) {
  const NodeId left = WithoutDeclared(a), right = WithoutDeclared(b);
  const NodeId value = ValueTimes(left, right);
  if (left == a && right == b) return value;
  return graph_.Add(Op::kDeclared, value,
                    AddSimplified(graph_, Op::kMul, a, b));
}

NodeId ExactZeros::Over(NodeId a, NodeId b) {
  const NodeId left = WithoutDeclared(a), right = WithoutDeclared(b);
  const NodeId value = ValueOver(left, right);
  if (left == a && right == b) return value;
  return graph_.Add(Op::kDeclared, value,
                    AddSimplified(graph_, Op::kDiv, a, b));
}

NodeId ExactZeros::Negated(NodeId a) {
  const NodeId operand = WithoutDeclared(a);
  const NodeId value = ValueNegated(operand);
  if (operand == a) return value;
  return graph_.Add(Op::kDeclared, value, AddSimplified(graph_, Op::kNeg, a));
}

NodeId ExactZeros::WithoutDeclared(NodeId node) const {
  while (graph_.node(node).op == Op::kDeclared) {
    node = graph_.node(node).operands[0];
  }
  return node;
}

NodeId ExactZeros::ValueTimes(NodeId a, NodeId b) {
  const Choice left = Split(a), right = Split(b);
  if (left.rest == kNoNode || right.rest == kNoNode) return graph_.Constant(0);
  return Join(Or(left.is_zero, right.is_zero),
              AddSimplified(graph_, Op::kMul, left.rest, right.rest));
}

NodeId ExactZeros::ValueOver(NodeId a, NodeId b) {
  const Choice choice = Split(a);
  if (choice.rest == kNoNode) return graph_.Constant(0);
  return Join(choice.is_zero, AddSimplified(graph_, Op::kDiv, choice.rest, b));
}

NodeId ExactZeros::ValueNegated(NodeId a) {
  const Choice choice = Split(a);
  if (choice.rest == kNoNode) return graph_.Constant(0);
  return Join(choice.is_zero, AddSimplified(graph_, Op::kNeg, choice.rest));
}

ExactZeros::Choice ExactZeros::Split(NodeId id) {
  const Node node = graph_.node(id);
  if (node.op == Op::kConstant && node.constant == 0) {
    return {graph_.Bool(true), kNoNode};
  }
  if (node.op != Op::kSelect) return {kNoNode, id};
  const auto it = choices_.find(id);
  if (it != choices_.end()) return it->second;
  const Choice choice = SplitSelect(node, id);
  choices_[id] = choice;
  return choice;
}

ExactZeros::Choice ExactZeros::SplitSelect(const Node& node, NodeId id) {
  const auto add = [this](Op op, NodeId a, NodeId b = kNoNode,
                          NodeId c = kNoNode) {
    return AddSimplified(graph_, op, a, b, c);
  };
  const NodeId condition = node.operands[0];
  const Choice yes = Split(node.operands[1]), no = Split(node.operands[2]);
  if (yes.rest == kNoNode && no.rest == kNoNode) return yes;
  if (yes.is_zero == kNoNode && no.is_zero == kNoNode) return {kNoNode, id};
  const NodeId inverse = add(Op::kNot, condition);
  NodeId is_zero = kNoNode;
  if (yes.is_zero != kNoNode) is_zero = add(Op::kAnd, condition, yes.is_zero);
  if (no.is_zero != kNoNode) {
    // After `condition or`, `not condition and` says nothing new.
    is_zero = is_zero == condition
                  ? Or(is_zero, no.is_zero)
                  : Or(is_zero, add(Op::kAnd, inverse, no.is_zero));
  }
  if (yes.rest == kNoNode) return {is_zero, no.rest};
  if (no.rest == kNoNode) return {is_zero, yes.rest};
  return {is_zero, add(Op::kSelect, condition, yes.rest, no.rest)};
}

NodeId ExactZeros::Or(NodeId a, NodeId b) {
  if (a == kNoNode) return b;
  if (b == kNoNode) return a;
  return AddSimplified(graph_, Op::kOr, a, b);
}

NodeId ExactZeros::Join(NodeId is_zero, NodeId rest) {
  if (is_zero == kNoNode) return rest;
  return AddSimplified(graph_, Op::kSelect, is_zero, graph_.Constant(0), rest);
}

}  // namespace actserve
