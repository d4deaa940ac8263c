#include "kernels/graph/passes/simplify.h"

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/graph/copy.h"
#include "kernels/graph/interpret.h"

namespace actserve {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

bool IsComparison(Op op) {
  return op == Op::kLess || op == Op::kLessEqual || op == Op::kEqual ||
         op == Op::kNotEqual;
}

bool IsRounding(Op op) {
  return op == Op::kFloor || op == Op::kCeil || op == Op::kRound ||
         op == Op::kTrunc;
}

// Functions whose results for x and -x are the same bits: they begin by taking
// the absolute value, or use x squared only. simplify_test.cc holds them to it.
bool IsEven(Op op) {
  return op == Op::kAbs || op == Op::kCos || op == Op::kCosh ||
         op == Op::kSigmoidGrad || op == Op::kSech2 || op == Op::kNormPdf ||
         op == Op::kExpMinusSquare;
}

bool SameValue(float a, float b) {
  return (a != a && b != b) ||
         std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

// A power of two whose reciprocal is a normal number in every type.
bool HasExactReciprocal(double value) {
  int exponent;
  return std::isfinite(value) && value != 0 &&
         std::fabs(std::frexp(value, &exponent)) == 0.5 &&
         std::abs(exponent) < 120;
}

// The rules, for one node that is about to be added. Each returns the
// simpler node, or kNoNode.
class Rules {
 public:
  Rules(Graph& graph, Op op, NodeId a, NodeId b, NodeId c)
      : graph_(graph), op_(op), a_(a), b_(b), c_(c) {}

  NodeId Apply() {
    if (NodeId folded = Folded(); folded != kNoNode) return folded;
    switch (op_) {
      case Op::kAdd:
        return Sum();
      case Op::kSub:
        return Difference();
      case Op::kMul:
        return Product();
      case Op::kDiv:
        return Quotient();
      case Op::kNeg:
        return Negation();
      case Op::kMin:
      case Op::kMax:
        return a_ == b_ ? a_ : kNoNode;
      case Op::kFloorMod:
        // The same exact remainder, without a division.
        return IsConstant(b_, 1) ? Make(Op::kFloorMod1, a_) : kNoNode;
      case Op::kPow:
        // IEEE 754-2019, 9.2.1: pow(x, +-0) is 1 for any x, NaN included.
        if (IsConstant(b_, 0) || IsConstant(b_, -0.0))
          return graph_.Constant(1);
        return IsConstant(b_, 1) ? a_ : kNoNode;
      case Op::kSelect:
        return Selection();
      case Op::kLess:
        // No number is below itself or -inf, or above inf; NaN is neither.
        return a_ == b_ || IsConstant(a_, kInf) || IsConstant(b_, -kInf)
                   ? graph_.Bool(false)
                   : kNoNode;
      case Op::kAnd:
      case Op::kOr:
        return Junction();
      case Op::kNot:
        return Inversion();
      default:
        if (IsEven(op_) && Is(a_, Op::kNeg)) return Make(op_, Operand(a_));
        if (op_ == Op::kAbs && Is(a_, Op::kAbs)) return a_;
        // An integer rounds to itself.
        return IsRounding(op_) && IsRounding(graph_.node(a_).op) ? a_ : kNoNode;
    }
  }

 private:
  bool Is(NodeId id, Op op) const { return graph_.node(id).op == op; }
  bool IsConstant(NodeId id, double value) const {
    return graph_.is_constant(id, value);
  }
  NodeId Operand(NodeId id, int index = 0) const {
    return graph_.node(id).operands[index];
  }
  NodeId Make(Op op, NodeId a, NodeId b = kNoNode, NodeId c = kNoNode) {
    return AddSimplified(graph_, op, a, b, c);
  }
  NodeId Negated(NodeId constant) {
    return graph_.Constant(-graph_.node(constant).constant);
  }

  // Constants alone: folded if float32 and float64 programs both get what the
  // folded constant, rounded to their type, is.
  NodeId Folded() {
    const int arity = Info(op_).arity;
    if (op_ == Op::kSelect || op_ == Op::kDeclared || TakesBool(op_, 0) ||
        Info(op_).reads_row || IsDraw(op_) || !graph_.is_constant(a_) ||
        (arity == 2 && !graph_.is_constant(b_))) {
      return kNoNode;
    }
    const double a = graph_.node(a_).constant;
    const double b = arity == 2 ? graph_.node(b_).constant : a;
    const float a32 = static_cast<float>(a);
    const float b32 = static_cast<float>(b);
    if (IsComparison(op_)) {
      const bool result = NumberOps<double>::Compare(op_, a, b);
      return NumberOps<float>::Compare(op_, a32, b32) == result
                 ? graph_.Bool(result)
                 : kNoNode;
    }
    const double result = FoldConstants(op_, a, b);
    return SameValue(NumberOps<float>::Apply(op_, a32, b32),
                     static_cast<float>(result))
               ? graph_.Constant(result)
               : kNoNode;
  }

  NodeId Sum() {
    // -0 is the neutral element of IEEE addition; +0 is not: -0 + 0 is 0.
    if (IsConstant(b_, -0.0)) return a_;
    if (IsConstant(a_, -0.0)) return b_;
    // Subtraction is addition of the negated operand.
    if (Is(b_, Op::kNeg)) return Make(Op::kSub, a_, Operand(b_));
    if (Is(a_, Op::kNeg)) return Make(Op::kSub, b_, Operand(a_));
    return SelectOfBoth();
  }

  NodeId Difference() {
    if (IsConstant(b_, 0)) return a_;
    if (IsConstant(a_, -0.0)) return Make(Op::kNeg, b_);
    if (Is(b_, Op::kNeg)) return Make(Op::kAdd, a_, Operand(b_));
    return SelectOfBoth();
  }

  // Two selections by one condition are one, of the sums: nothing but the
  // order of choosing and adding changes. Done only if a side folds.
  NodeId SelectOfBoth() {
    if (!Is(a_, Op::kSelect) || !Is(b_, Op::kSelect) ||
        Operand(a_) != Operand(b_)) {
      return kNoNode;
    }
    const auto folds = [this](int side) {
      return graph_.is_constant(Operand(a_, side)) &&
             graph_.is_constant(Operand(b_, side));
    };
    if (!folds(1) && !folds(2)) return kNoNode;
    const NodeId left = Make(op_, Operand(a_, 1), Operand(b_, 1));
    const NodeId right = Make(op_, Operand(a_, 2), Operand(b_, 2));
    return Make(Op::kSelect, Operand(a_), left, right);
  }

  // Signs leave products and quotients: rounding is symmetric about 0.
  NodeId Product() {
    if (IsConstant(b_, 1)) return a_;
    if (IsConstant(a_, 1)) return b_;
    if (IsConstant(b_, -1)) return Make(Op::kNeg, a_);
    if (IsConstant(a_, -1)) return Make(Op::kNeg, b_);
    return WithoutSigns();
  }

  NodeId Quotient() {
    if (IsConstant(b_, 1)) return a_;
    if (IsConstant(b_, -1)) return Make(Op::kNeg, a_);
    // Both round the same real number once.
    if (graph_.is_constant(b_)) {
      const double divisor = graph_.node(b_).constant;
      if (HasExactReciprocal(divisor)) {
        return Make(Op::kMul, a_, graph_.Constant(1 / divisor));
      }
    }
    return WithoutSigns();
  }

  NodeId WithoutSigns() {
    if (Is(a_, Op::kNeg)) {
      if (graph_.is_constant(b_)) return Make(op_, Operand(a_), Negated(b_));
      return Make(Op::kNeg, Make(op_, Operand(a_), b_));
    }
    if (Is(b_, Op::kNeg)) {
      if (graph_.is_constant(a_)) return Make(op_, Negated(a_), Operand(b_));
      return Make(Op::kNeg, Make(op_, a_, Operand(b_)));
    }
    return kNoNode;
  }

  NodeId Negation() {
    if (Is(a_, Op::kNeg)) return Operand(a_);
    if (Is(a_, Op::kMul) || Is(a_, Op::kDiv)) {
      const NodeId left = Operand(a_, 0), right = Operand(a_, 1);
      const Op op = graph_.node(a_).op;
      if (graph_.is_constant(left)) return Make(op, Negated(left), right);
      if (graph_.is_constant(right)) return Make(op, left, Negated(right));
    }
    return kNoNode;
  }

  NodeId Selection() {
    if (Is(a_, Op::kBool)) return graph_.node(a_).constant != 0 ? b_ : c_;
    if (b_ == c_) return b_;
    if (Is(a_, Op::kNot)) return Make(Op::kSelect, Operand(a_), c_, b_);
    // A branch that asks the same question knows the answer.
    if (Is(b_, Op::kSelect) && Operand(b_) == a_) {
      return Make(Op::kSelect, a_, Operand(b_, 1), c_);
    }
    if (Is(c_, Op::kSelect) && Operand(c_) == a_) {
      return Make(Op::kSelect, a_, b_, Operand(c_, 2));
    }
    return kNoNode;
  }

  NodeId Junction() {
    if (a_ == b_) return a_;
    const bool is_and = op_ == Op::kAnd;
    if (Is(a_, Op::kBool)) {
      return (graph_.node(a_).constant != 0) == is_and ? b_ : a_;
    }
    if (Is(b_, Op::kBool)) {
      return (graph_.node(b_).constant != 0) == is_and ? a_ : b_;
    }
    return kNoNode;
  }

  NodeId Inversion() {
    if (Is(a_, Op::kBool)) return graph_.Bool(graph_.node(a_).constant == 0);
    if (Is(a_, Op::kNot)) return Operand(a_);
    // These two are opposites on NaN too; < and >= are not.
    if (Is(a_, Op::kEqual)) {
      return Make(Op::kNotEqual, Operand(a_, 0), Operand(a_, 1));
    }
    if (Is(a_, Op::kNotEqual)) {
      return Make(Op::kEqual, Operand(a_, 0), Operand(a_, 1));
    }
    return kNoNode;
  }

  Graph& graph_;
  const Op op_;
  const NodeId a_, b_, c_;
};

}  // namespace

NodeId AddSimplified(Graph& graph, Op op, NodeId a, NodeId b, NodeId c) {
  const NodeId simpler = Rules(graph, op, a, b, c).Apply();
  return simpler != kNoNode ? simpler : graph.Add(op, a, b, c);
}

Graph Simplify(const Graph& graph) {
  Graph simple = WithSignatureOf(graph);
  const auto simplify = [&simple](Op op, NodeId a, NodeId b, NodeId c) {
    return AddSimplified(simple, op, a, b, c);
  };
  CopyOutputs(graph, CopyNodes(graph, simple, simplify), simple);
  // A rule may leave nodes behind that it no longer needs.
  Graph live = WithSignatureOf(graph);
  const auto keep = [&live](Op op, NodeId a, NodeId b, NodeId c) {
    return live.Add(op, a, b, c);
  };
  CopyOutputs(simple, CopyNodes(simple, live, keep), live);
  return live;
}

double FoldConstants(Op op, double a, double b) {
  return NumberOps<double>::Apply(op, a, b);
}

}  // namespace actserve
