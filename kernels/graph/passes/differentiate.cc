#include "kernels/graph/passes/differentiate.h"

#include <limits>
#include <numbers>
#include <vector>

#include "kernels/graph/passes/exact_zeros.h"
#include "kernels/graph/passes/power.h"
#include "kernels/graph/passes/simplify.h"

namespace actserve {
namespace {

constexpr double kTwoOverSqrtPi = 2 * std::numbers::inv_sqrtpi;

// Beyond these |x| the factor named underflows in float64 too, so clamping x
// changes no result and keeps 0 * inf away.
constexpr double kNormPdfIsZero = 40;
constexpr double kExpMinusSquareIsZero = 30;
constexpr double kSigmoidGradIsZero = 800;
constexpr double kGeluTanhIsZero = 25;

class Differentiator {
 public:
  Differentiator(Graph& graph, NodeId variable)
      : graph_(graph), zeros_(graph), variable_(variable) {}

  NodeId Run(NodeId node) {
    std::vector<bool> needed(node + 1, false);
    needed[node] = true;
    for (NodeId i = node; i >= 0; --i) {
      if (!needed[i]) continue;
      for (NodeId operand : graph_.node(i).operands) {
        if (operand != kNoNode) needed[operand] = true;
      }
    }
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
    if (da == kNoNode && db == kNoNode && dc == kNoNode) return kNoNode;
    const NodeId a = node.operands[0], b = node.operands[1];
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
      case Op::kFloorMod:
        return Sum(da, Minus(Times(Make(Op::kFloorDiv, a, b), db)));
      case Op::kFmod:
        return Sum(da, Minus(Times(Make(Op::kTrunc, Div(a, b)), db)));
      case Op::kFloorMod1:
        return da;
      case Op::kSelect:
        return SelectTangent(a, db, dc);
      case Op::kDeclared:
        return db;
      case Op::kPow:
        return Sum(Times(PowInBase(a, b), da), Times(PowInExponent(id), db));
      case Op::kAtan2: {
        // d atan2(y, x) = (x dy - y dx) / (x*x + y*y)
        const NodeId norm = Add(Mul(a, a), Mul(b, b));
        return Sum(Times(Div(b, norm), da), Minus(Times(Div(a, norm), db)));
      }
      case Op::kScaledSilu: {
        // d x s(b x) = silu'(b x) dx + x^2 s'(b x) db
        const NodeId in_x = Make(Op::kScaledSiluGrad, a, b);
        if (db == kNoNode) return Times(in_x, da);
        const NodeId gate = Make(Op::kSigmoidGrad, Mul(b, a));
        return Sum(Times(in_x, da), Times(Mul(a, Mul(gate, a)), db));
      }
      case Op::kScaledSiluGrad: {
        const NodeId slope = StableSlope(kNoNode, Op::kSiluGrad, Mul(b, a));
        return Sum(Times(Mul(slope, b), da), Times(Mul(slope, a), db));
      }
      default: {
        const NodeId slope = Slope(id, node.op, a);
        return slope == kNoNode ? kNoNode : Times(slope, da);
      }
    }
  }

  // The derivative of a function of one operand, x; `y` is its value. kNoNode
  // where it is flat.
  NodeId Slope(NodeId y, Op op, NodeId x) {
    switch (op) {
      case Op::kAbs:
        return Make(Op::kSign, x);
      case Op::kSqrt:
        return Div(Constant(0.5), y);
      case Op::kExp:
        return y;
      case Op::kExp2:
        return Mul(y, Constant(std::numbers::ln2));
      case Op::kExpm1:
        return Make(Op::kExp, x);
      case Op::kLog:
        return Div(Constant(1), x);
      case Op::kLog2:
        return Div(Constant(std::numbers::log2e), x);
      case Op::kLog10:
        return Div(Constant(std::numbers::log10e), x);
      case Op::kLog1p:
        return Div(Constant(1), Add(x, Constant(1)));
      case Op::kSin:
        return Make(Op::kCos, x);
      case Op::kCos:
        return Neg(Make(Op::kSin, x));
      case Op::kTan:
        return Add(Mul(y, y), Constant(1));
      case Op::kAsin:
      case Op::kAcos: {
        const NodeId slope =
            Div(Constant(1), Make(Op::kSqrt, OneMinusSquare(x)));
        return op == Op::kAsin ? slope : Neg(slope);
      }
      case Op::kAtan:
        return AtanSlope(x);
      case Op::kSinh:
        return Make(Op::kCosh, x);
      case Op::kCosh:
        return Make(Op::kSinh, x);
      case Op::kAsinh:
        return AsinhSlope(x);
      case Op::kAcosh:
        // Two roots: x*x - 1 would overflow, and cancel near 1.
        return Div(Constant(1), Mul(Make(Op::kSqrt, Sub(x, Constant(1))),
                                    Make(Op::kSqrt, Add(x, Constant(1)))));
      case Op::kAtanh:
        return Div(Constant(1), OneMinusSquare(x));
      case Op::kErf:
        return Mul(Constant(kTwoOverSqrtPi), Make(Op::kExpMinusSquare, x));
      case Op::kErfc:
        return Mul(Constant(-kTwoOverSqrtPi), Make(Op::kExpMinusSquare, x));
      default:
        return StableSlope(y, op, x);
    }
  }

  // s is the logistic function, so 1 - 2 s(x) = -tanh(x / 2).
  NodeId StableSlope(NodeId y, Op op, NodeId x) {
    switch (op) {
      case Op::kTanh:
        return Make(Op::kSech2, x);
      case Op::kSigmoid:
        return Make(Op::kSigmoidGrad, x);
      case Op::kSigmoidGrad:
        return Neg(Mul(y, Make(Op::kTanh, Mul(Constant(0.5), x))));
      case Op::kSoftplus:
        return Make(Op::kSigmoid, x);
      case Op::kLogSigmoid:
        return Make(Op::kSigmoid, Neg(x));
      case Op::kSech2:
        return Mul(Constant(-2), Mul(Make(Op::kTanh, x), y));
      case Op::kTanhshrink: {
        const NodeId t = Make(Op::kTanh, x);
        return Mul(t, t);
      }
      case Op::kNormCdf:
        return Make(Op::kNormPdf, x);
      case Op::kNormPdf:
        return Neg(Mul(Clamped(x, kNormPdfIsZero), y));
      case Op::kExpMinusSquare:
        return Mul(Mul(Constant(-2), Clamped(x, kExpMinusSquareIsZero)), y);
      case Op::kSilu:
        return Make(Op::kSiluGrad, x);
      case Op::kSiluGrad: {
        // s'(x) (2 - x tanh(x / 2))
        const NodeId u = Clamped(x, kSigmoidGradIsZero);
        const NodeId t = Make(Op::kTanh, Mul(Constant(0.5), u));
        return Mul(Make(Op::kSigmoidGrad, x), Sub(Constant(2), Mul(u, t)));
      }
      case Op::kGelu:
        return Make(Op::kGeluGrad, x);
      case Op::kGeluGrad: {
        // phi(x) (2 - x^2)
        const NodeId u = Clamped(x, kNormPdfIsZero);
        return Mul(Make(Op::kNormPdf, x), Sub(Constant(2), Mul(u, u)));
      }
      case Op::kGeluTanh:
        return Make(Op::kGeluTanhGrad, x);
      case Op::kGeluTanhGrad:
        return GeluTanhCurvature(x);
      case Op::kMish:
        return Make(Op::kMishGrad, x);
      case Op::kMishGrad:
        return MishCurvature(x);
      default:
        return kNoNode;
    }
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

  // 1 / (x*x + 1), where x*x does not overflow.
  NodeId AtanSlope(NodeId x) {
    const NodeId far = Make(Op::kLess, Constant(1e9), Make(Op::kAbs, x));
    const NodeId norm = Add(Mul(x, x), Constant(1));
    const NodeId inverse = Div(Constant(1), Make(Op::kSelect, far, x, norm));
    return Make(Op::kSelect, far, Mul(inverse, inverse), inverse);
  }

  // 1 / sqrt(x*x + 1), likewise.
  NodeId AsinhSlope(NodeId x) {
    const NodeId size = Make(Op::kAbs, x);
    const NodeId near = Make(Op::kSqrt, Add(Mul(x, x), Constant(1)));
    const NodeId far = Make(Op::kLess, Constant(1e9), size);
    return Div(Constant(1), Make(Op::kSelect, far, size, near));
  }

  // With k = sqrt(2/pi), c = 0.044715, v = 2k (x + c x^3) and s' = s'(v):
  // s' (2 v' + x v'' - x v'^2 tanh(v / 2)), v' = 2k (1 + 3 c x^2), v'' = 12 k c
  // x.
  NodeId GeluTanhCurvature(NodeId operand) {
    constexpr double kTwoK = 1.5957691216057307117597842397375;
    constexpr double kC = 0.044715;
    const NodeId x = Clamped(operand, kGeluTanhIsZero);
    const NodeId square = Mul(x, x);
    const NodeId v = Mul(Mul(Constant(kTwoK), x),
                         Add(Constant(1), Mul(Constant(kC), square)));
    const NodeId v1 =
        Add(Constant(kTwoK), Mul(Constant(3 * kTwoK * kC), square));
    const NodeId t = Make(Op::kTanh, Mul(Constant(0.5), v));
    const NodeId sum =
        Add(Mul(Constant(2), v1), Sub(Mul(Constant(6 * kTwoK * kC), square),
                                      Mul(Mul(x, t), Mul(v1, v1))));
    return Mul(Make(Op::kSigmoidGrad, v), sum);
  }

  // With p = softplus(x), w = tanh(p): sech2(p) (2 s + x (s' - 2 w s^2)).
  NodeId MishCurvature(NodeId operand) {
    const NodeId x = Clamped(operand, kSigmoidGradIsZero);
    const NodeId p = Make(Op::kSoftplus, x);
    const NodeId s = Make(Op::kSigmoid, x);
    const NodeId bend =
        Sub(Make(Op::kSigmoidGrad, x),
            Mul(Mul(Constant(2), Make(Op::kTanh, p)), Mul(s, s)));
    return Mul(Make(Op::kSech2, p), Add(Mul(Constant(2), s), Mul(x, bend)));
  }

  NodeId OneMinusSquare(NodeId x) {
    return Mul(Sub(Constant(1), x), Add(Constant(1), x));
  }
  NodeId Clamped(NodeId x, double bound) {
    return Make(Op::kMin, Make(Op::kMax, x, Constant(-bound)), Constant(bound));
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
  // The node that computes the value of `id`, without its declared derivative.
  NodeId Value(NodeId id) const {
    while (graph_.node(id).op == Op::kDeclared) {
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
  NodeId Div(NodeId a, NodeId b) { return Make(Op::kDiv, a, b); }
  NodeId Neg(NodeId a) { return Make(Op::kNeg, a); }

  Graph& graph_;
  ExactZeros zeros_;
  const NodeId variable_;
};

}  // namespace

NodeId Differentiate(Graph& graph, NodeId node, NodeId variable) {
  return Differentiator(graph, variable).Run(node);
}

}  // namespace actserve
