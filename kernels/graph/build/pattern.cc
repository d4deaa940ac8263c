#include "kernels/graph/build/pattern.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/graph/passes/simplify.h"

namespace actserve {
namespace {

// More factors or terms than this are left alone: the search is exponential.
constexpr size_t kMaxParts = 8;
// Nor are formulas deeper than this taken apart: at every node of a long chain
// that would be work of the square of its length.
constexpr int kMaxDepth = 16;
constexpr double kConstantTolerance = 1e-9;

bool IsNear(double value, double wanted) {
  return value == wanted ||
         std::fabs(value - wanted) <= kConstantTolerance * std::fabs(wanted);
}

// Takes `id` apart. `Part` is made of (node, is_divisor or is_negative).
template <typename Parts>
void FlattenProduct(const Graph& graph, NodeId id, bool is_divisor,
                    bool& is_negative, Parts& parts, int depth = 0) {
  const Node& node = graph.node(id);
  if (depth > kMaxDepth) parts.resize(kMaxParts + 1);
  if (parts.size() > kMaxParts) return;
  switch (node.op) {
    case Op::kMul:
    case Op::kDiv:
      FlattenProduct(graph, node.operands[0], is_divisor, is_negative, parts,
                     depth + 1);
      FlattenProduct(graph, node.operands[1],
                     is_divisor != (node.op == Op::kDiv), is_negative, parts,
                     depth + 1);
      break;
    case Op::kNeg:
      is_negative = !is_negative;
      FlattenProduct(graph, node.operands[0], is_divisor, is_negative, parts,
                     depth + 1);
      break;
    case Op::kConstant:
      if (std::signbit(node.constant)) is_negative = !is_negative;
      if (std::fabs(node.constant) != 1) parts.push_back({id, is_divisor});
      break;
    default:
      parts.push_back({id, is_divisor});
  }
}

template <typename Parts>
void FlattenSum(const Graph& graph, NodeId id, bool is_negative, Parts& parts,
                int depth = 0) {
  const Node& node = graph.node(id);
  if (depth > kMaxDepth) parts.resize(kMaxParts + 1);
  if (parts.size() > kMaxParts) return;
  switch (node.op) {
    case Op::kAdd:
    case Op::kSub:
      FlattenSum(graph, node.operands[0], is_negative, parts, depth + 1);
      FlattenSum(graph, node.operands[1], is_negative != (node.op == Op::kSub),
                 parts, depth + 1);
      break;
    case Op::kNeg:
      FlattenSum(graph, node.operands[0], !is_negative, parts, depth + 1);
      break;
    default:
      parts.push_back({id, is_negative});
  }
}

}  // namespace

bool Matcher::Match(NodeId node) {
  variables_.fill(kNoNode);
  scale_ = kNoNode;
  has_rest_ = false;
  const NodeId root = pattern_.outputs[0].node;
  const auto done = [] { return true; };
  const Op op = pattern_.node(root).op;
  if (op == Op::kMul || op == Op::kDiv) {
    const Op subject_op = subject_.node(node).op;
    return (subject_op == Op::kMul || subject_op == Op::kDiv) &&
           MatchProduct(root, node, false, /*is_root=*/true, done);
  }
  if (op == Op::kNeg) {
    return subject_.node(node).op == Op::kNeg &&
           MatchNode(pattern_.node(root).operands[0],
                     subject_.node(node).operands[0], false, done);
  }
  if (op == Op::kAdd || op == Op::kSub) {
    const Op subject_op = subject_.node(node).op;
    if (subject_op != Op::kAdd && subject_op != Op::kSub) return false;
  }
  return MatchNode(root, node, false, done);
}

NodeId Matcher::Rest(NodeId replacement) {
  if (!has_rest_) return replacement;
  Product whole = rest_;
  whole.factors.push_back({replacement, false});
  return Make(whole);
}

bool Matcher::MatchNode(NodeId p, NodeId s, bool negate, Next next) {
  const Node& wanted = pattern_.node(p);
  switch (wanted.op) {
    case Op::kInput:
      return MatchVariable(wanted.index, s, negate, next);
    case Op::kConstant: {
      if (!subject_.is_constant(s)) return false;
      const double value = subject_.node(s).constant;
      return IsNear(negate ? -value : value, wanted.constant) && next();
    }
    case Op::kMul:
    case Op::kDiv:
    case Op::kNeg:
      return MatchProduct(p, s, negate, /*is_root=*/false, next);
    case Op::kAdd:
    case Op::kSub:
      return MatchSum(p, s, negate, next);
    default:
      return !negate && subject_.node(s).op == wanted.op &&
             MatchOperands(p, s, next);
  }
}

bool Matcher::MatchVariable(int index, NodeId s, bool negate, Next next) {
  const NodeId value = negate ? AddSimplified(subject_, Op::kNeg, s) : s;
  NodeId& variable = variables_[index];
  if (variable != kNoNode) return variable == value && next();
  variable = value;
  if (next()) return true;
  variables_[index] = kNoNode;
  return false;
}

bool Matcher::MatchOperands(NodeId p, NodeId s, Next next) {
  const Node wanted = pattern_.node(p), have = subject_.node(s);
  const auto pair = [&](int first) {
    const int second = 1 - first;
    return MatchNode(wanted.operands[0], have.operands[first], false, [&] {
      if (wanted.operands[1] == kNoNode) return next();
      return MatchNode(wanted.operands[1], have.operands[second], false, next);
    });
  };
  if (pair(0)) return true;
  const bool symmetric = wanted.op == Op::kMin || wanted.op == Op::kMax;
  return symmetric && pair(1);
}

bool Matcher::MatchProduct(NodeId p, NodeId s, bool negate, bool is_root,
                           Next next) {
  Product wanted, have;
  FlattenProduct(pattern_, p, false, wanted.is_negative, wanted.factors);
  FlattenProduct(subject_, s, false, have.is_negative, have.factors);
  if (wanted.factors.size() > kMaxParts || have.factors.size() > kMaxParts) {
    return false;
  }
  have.is_negative = have.is_negative != (wanted.is_negative != negate);
  // The most specific parts first; variables take the rest.
  std::stable_sort(wanted.factors.begin(), wanted.factors.end(),
                   [this](const Factor& a, const Factor& b) {
                     return !IsVariable(a.node) && IsVariable(b.node);
                   });
  return MatchFactors(wanted.factors, 0, have, is_root, next);
}

bool Matcher::MatchFactors(const std::vector<Factor>& wanted, size_t at,
                           const Product& have, bool is_root, Next next) {
  if (at == wanted.size() || IsVariable(wanted[at].node)) {
    return MatchVariableFactors({wanted.begin() + at, wanted.end()}, have,
                                is_root, next);
  }
  const Factor& factor = wanted[at];
  if (IsScale(factor.node)) return MatchScale(wanted, at, have, next);
  for (size_t i = 0; i < have.factors.size(); ++i) {
    const Factor candidate = have.factors[i];
    Product left = have;
    left.factors.erase(left.factors.begin() + static_cast<ptrdiff_t>(i));
    const auto go_on = [&] {
      return MatchFactors(wanted, at + 1, left, is_root, next);
    };
    if (pattern_.is_constant(factor.node)) {
      if (!subject_.is_constant(candidate.node)) continue;
      // Signs were taken out of both.
      double value = std::fabs(subject_.node(candidate.node).constant);
      if (candidate.is_divisor != factor.is_divisor) value = 1 / value;
      const double want = std::fabs(pattern_.node(factor.node).constant);
      if (IsNear(value, want) && go_on()) return true;
    } else if (candidate.is_divisor == factor.is_divisor &&
               MatchNode(factor.node, candidate.node, false, go_on)) {
      return true;
    }
  }
  return false;
}

bool Matcher::MatchScale(const std::vector<Factor>& wanted, size_t at,
                         const Product& have, Next next) {
  if (scale_ != kNoNode) return false;
  Product scale, left;
  scale.is_negative = have.is_negative;
  for (const Factor& factor : have.factors) {
    const Op op = subject_.node(factor.node).op;
    const bool is_fixed = op == Op::kConstant || op == Op::kParameter;
    (is_fixed ? scale : left).factors.push_back(factor);
  }
  if (scale.factors.empty()) return false;
  scale_ = Make(scale);
  if (MatchFactors(wanted, at + 1, left, /*is_root=*/false, next)) return true;
  scale_ = kNoNode;
  return false;
}

// `wanted` holds variables only: those known consume their factors, at most
// one unknown takes the rest, as a power if it stands there several times.
bool Matcher::MatchVariableFactors(const std::vector<Factor>& wanted,
                                   const Product& have, bool is_root,
                                   Next next) {
  Product left = have;
  int unknown = -1;
  size_t power = 0;
  for (const Factor& factor : wanted) {
    const int index = pattern_.node(factor.node).index;
    if (variables_[index] == kNoNode) {
      if (factor.is_divisor || (unknown >= 0 && unknown != index)) return false;
      unknown = index;
      ++power;
      continue;
    }
    std::vector<Factor> parts;
    FlattenProduct(subject_, variables_[index], factor.is_divisor,
                   left.is_negative, parts);
    if (parts.size() > kMaxParts) return false;
    for (const Factor& part : parts) {
      const auto it = std::find_if(
          left.factors.begin(), left.factors.end(), [&](const Factor& f) {
            return f.node == part.node && f.is_divisor == part.is_divisor;
          });
      if (it == left.factors.end()) return false;
      left.factors.erase(it);
    }
  }
  if (is_root) {
    // A root that leaves everything else in place.
    if (unknown >= 0) return false;
    rest_ = left;
    has_rest_ = left.is_negative || !left.factors.empty();
    return next();
  }
  if (unknown < 0) return left.factors.empty() && !left.is_negative && next();
  // The power-th root of what is left.
  if (left.factors.empty() || (power % 2 == 0 && left.is_negative)) {
    return false;
  }
  Product root;
  root.is_negative = left.is_negative;
  const auto less = [](const Factor& a, const Factor& b) {
    return std::pair(a.node, a.is_divisor) < std::pair(b.node, b.is_divisor);
  };
  if (power > 1) {
    std::sort(left.factors.begin(), left.factors.end(), less);
    if (left.factors.size() % power != 0) return false;
  }
  for (size_t i = 0; i < left.factors.size(); i += power) {
    if (less(left.factors[i], left.factors[i + power - 1])) return false;
    root.factors.push_back(left.factors[i]);
  }
  variables_[unknown] = Make(root);
  if (next()) return true;
  variables_[unknown] = kNoNode;
  return false;
}

bool Matcher::MatchSum(NodeId p, NodeId s, bool negate, Next next) {
  std::vector<Term> wanted, have;
  FlattenSum(pattern_, p, false, wanted);
  FlattenSum(subject_, s, negate, have);
  if (wanted.size() != have.size() || have.size() > kMaxParts) return false;
  std::stable_sort(wanted.begin(), wanted.end(),
                   [this](const Term& a, const Term& b) {
                     return !IsVariable(a.node) && IsVariable(b.node);
                   });
  return MatchTerms(wanted, 0, have, next);
}

bool Matcher::MatchTerms(const std::vector<Term>& wanted, size_t at,
                         const std::vector<Term>& have, Next next) {
  if (at == wanted.size()) return next();
  for (size_t i = 0; i < have.size(); ++i) {
    std::vector<Term> left = have;
    left.erase(left.begin() + static_cast<ptrdiff_t>(i));
    const bool negate = wanted[at].is_negative != have[i].is_negative;
    const auto go_on = [&] { return MatchTerms(wanted, at + 1, left, next); };
    if (MatchNode(wanted[at].node, have[i].node, negate, go_on)) return true;
  }
  return false;
}

NodeId Matcher::Make(const Product& product) {
  NodeId above = kNoNode, below = kNoNode;
  for (const Factor& factor : product.factors) {
    NodeId& side = factor.is_divisor ? below : above;
    // Constants keep their place in the order, not their sign: that is in
    // is_negative.
    NodeId node = factor.node;
    if (subject_.is_constant(node)) {
      node = subject_.Constant(std::fabs(subject_.node(node).constant));
    }
    side =
        side == kNoNode ? node : AddSimplified(subject_, Op::kMul, side, node);
  }
  if (above == kNoNode) above = subject_.Constant(1);
  if (below != kNoNode) {
    above = AddSimplified(subject_, Op::kDiv, above, below);
  }
  return product.is_negative ? AddSimplified(subject_, Op::kNeg, above) : above;
}

}  // namespace actserve
