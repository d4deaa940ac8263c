#include "kernels/graph/reference/real_ops.h"

#include <algorithm>
#include <limits>

#include "kernels/graph/row_moves.h"
#include "kernels/math/philox.h"

namespace actserve {
namespace {

using ::actserve::testing::Real;

bool Equal(const Real& a, const Real& b) { return !(a < b) && !(b < a); }

Real FloorOf(const Real& x) { return Real::Apply(mpfr_rint_floor, x); }

Real FloorMod(const Real& a, const Real& b) {
  const Real remainder = Real::Apply(mpfr_fmod, a, b);
  const bool is_zero = Equal(remainder, 0);
  return !is_zero && (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

Real Sigmoid(const Real& x) { return Real(1) / (Real(1) + Exp(-x)); }
Real SigmoidGrad(const Real& x) { return Sigmoid(x) * Sigmoid(-x); }
Real Softplus(const Real& x) {
  return x > 0 ? x + Log1p(Exp(-x)) : Log1p(Exp(x));
}
Real Sech2(const Real& x) { return Real(1) / (Cosh(x) * Cosh(x)); }
Real NormCdf(const Real& x) { return Erfc(-x / Sqrt(Real(2))) / 2; }
Real NormPdf(const Real& x) {
  return Exp(-(x * x) / 2) / Sqrt(Real(2) * Real::Pi());
}

// x - tanh(x); its series where the difference would need more bits.
Real Tanhshrink(const Real& x) {
  if (Abs(x) < Real("1e-30")) return x * x * x / 3;
  return x - Tanh(x);
}

// 2u of gelu_tanh, and its derivative.
Real TwoU(const Real& x) {
  return Real(2) * Sqrt(Real(2) / Real::Pi()) *
         (x + Real("0.044715") * x * x * x);
}
Real TwoUGrad(const Real& x) {
  return Real(2) * Sqrt(Real(2) / Real::Pi()) *
         (Real(1) + Real("0.134145") * x * x);
}

Real ApplyInstruction(Op op, const Real& a, const Real& b) {
  switch (op) {
    case Op::kAdd:
      return a + b;
    case Op::kSub:
      return a - b;
    case Op::kMul:
      return a * b;
    case Op::kDiv:
      return a / b;
    case Op::kNeg:
      return -a;
    case Op::kAbs:
      return Abs(a);
    case Op::kFloor:
      return FloorOf(a);
    case Op::kCeil:
      return Real::Apply(mpfr_rint_ceil, a);
    case Op::kRound:
      return Real::Apply(mpfr_rint_roundeven, a);
    case Op::kTrunc:
      return Real::Apply(mpfr_rint_trunc, a);
    case Op::kSign:
      return a > 0 ? Real(1) : a < 0 ? Real(-1) : a;
    case Op::kSqrt:
      return Sqrt(a);
    case Op::kMin:
      return a < b || a.IsNaN() ? a : b;
    case Op::kMax:
      return b < a || a.IsNaN() ? a : b;
    case Op::kFloorMod:
      return FloorMod(a, b);
    case Op::kFloorMod1:
      return FloorMod(a, 1);
    case Op::kFloorDiv:
      return FloorOf((a - FloorMod(a, b)) / b + 0.5);
    case Op::kFmod:
      return Real::Apply(mpfr_fmod, a, b);
    default:
      return std::numeric_limits<double>::quiet_NaN();  // Nothing is known.
  }
}

Real ApplyElementary(Op op, const Real& a, const Real& b) {
  switch (op) {
    case Op::kExp:
      return Exp(a);
    case Op::kExp2:
      return Exp2(a);
    case Op::kExpm1:
      return Expm1(a);
    case Op::kLog:
      return Log(a);
    case Op::kLog2:
      return Log2(a);
    case Op::kLog10:
      return Log10(a);
    case Op::kLog1p:
      return Log1p(a);
    case Op::kSin:
      return Sin(a);
    case Op::kCos:
      return Cos(a);
    case Op::kTan:
      return Tan(a);
    case Op::kAsin:
      return Asin(a);
    case Op::kAcos:
      return Acos(a);
    case Op::kAtan:
      return Atan(a);
    case Op::kSinh:
      return Sinh(a);
    case Op::kCosh:
      return Cosh(a);
    case Op::kTanh:
      return Tanh(a);
    case Op::kAsinh:
      return Asinh(a);
    case Op::kAcosh:
      return Acosh(a);
    case Op::kAtanh:
      return Atanh(a);
    case Op::kErf:
      return Erf(a);
    case Op::kErfc:
      return Erfc(a);
    case Op::kPow:
      return Real::Apply(mpfr_pow, a, b);
    case Op::kAtan2:
      return Real::Apply(mpfr_atan2, a, b);
    default:
      return ApplyInstruction(op, a, b);
  }
}

}  // namespace

testing::Real NumberOps<testing::Real>::Apply(Op op, const testing::Real& a,
                                              const testing::Real& b) {
  switch (op) {
    case Op::kSigmoid:
      return Sigmoid(a);
    case Op::kSigmoidGrad:
      return SigmoidGrad(a);
    case Op::kSoftplus:
      return Softplus(a);
    case Op::kLogSigmoid:
      return -Softplus(-a);
    case Op::kSech2:
      return Sech2(a);
    case Op::kTanhshrink:
      return Tanhshrink(a);
    case Op::kNormCdf:
      return NormCdf(a);
    case Op::kNormPdf:
      return NormPdf(a);
    case Op::kExpMinusSquare:
      return Exp(-(a * a));
    case Op::kSilu:
      return a * Sigmoid(a);
    case Op::kSiluGrad:
      return Sigmoid(a) + a * SigmoidGrad(a);
    case Op::kScaledSilu:
      return a * Sigmoid(b * a);
    case Op::kScaledSiluGrad:
      return Sigmoid(b * a) + b * a * SigmoidGrad(b * a);
    case Op::kGelu:
      return a * NormCdf(a);
    case Op::kGeluGrad:
      return NormCdf(a) + a * NormPdf(a);
    case Op::kGeluTanh:
      return a * Sigmoid(TwoU(a));
    case Op::kGeluTanhGrad:
      return Sigmoid(TwoU(a)) + a * TwoUGrad(a) * SigmoidGrad(TwoU(a));
    case Op::kMish:
      return a * Tanh(Softplus(a));
    case Op::kMishGrad:
      return Tanh(Softplus(a)) + a * Sech2(Softplus(a)) * Sigmoid(a);
    default:
      return ApplyElementary(op, a, b);
  }
}

// By exact arithmetic on the words, but for the rounding of float's u, which is
// part of its definition (math/f32_draw.h).
Real NumberOps<Real>::Draw(Op op, const DrawOperands& operands) {
  const bool is_double = operands.type == DType::kFloat64;
  const philox::Words words = philox::Draw(
      operands.seed, operands.stream,
      op == Op::kNormal ? philox::kNormal : philox::kUniform, operands.element);
  const double bits_53 = (words.w0 >> 5) * 0x1p26 + (words.w1 >> 6);
  if (op == Op::kUniform) {
    return is_double ? bits_53 * 0x1p-53 : (words.w0 >> 8) * 0x1p-24;
  }
  const float single = (static_cast<float>(words.w0 >> 1) + 0.5f) * 0x1p-31f;
  const double u = is_double ? (bits_53 + 0.5) * 0x1p-53 : single;
  const double v =
      words.w2 * 0x1p-32 + (is_double ? (words.w3 >> 11) * 0x1p-53 : 0);
  return Sqrt(Real(-2) * Log(Real(u))) * Cos(Real(2) * Real::Pi() * Real(v));
}

bool NumberOps<testing::Real>::Compare(Op op, const testing::Real& a,
                                       const testing::Real& b) {
  if (a.IsNaN() || b.IsNaN()) return op == Op::kNotEqual;
  switch (op) {
    case Op::kLess:
      return a < b;
    case Op::kLessEqual:
      return !(b < a);
    case Op::kEqual:
      return Equal(a, b);
    default:
      return !Equal(a, b);
  }
}

std::vector<Real> NumberOps<Real>::ApplyToRow(Op op, absl::Span<const Real> a,
                                              absl::Span<const Real> b) {
  std::vector<Real> result(a.size());
  if (op == Op::kRowIndex) {
    for (size_t i = 0; i < a.size(); ++i) result[i] = static_cast<double>(i);
    return result;
  }
  if (IsByElement(op)) {
    ApplyByElement<Real, Real>(op, a, b, absl::MakeSpan(result));
    return result;
  }
  Real reduced = op == Op::kRowSum   ? 0.0
                 : op == Op::kRowMax ? -std::numeric_limits<double>::infinity()
                                     : static_cast<double>(a.size());
  for (const Real& value : a) {
    if (op == Op::kRowSum) reduced = reduced + value;
    if (op == Op::kRowMax) reduced = Apply(Op::kMax, reduced, value);
  }
  std::fill(result.begin(), result.end(), reduced);
  return result;
}

}  // namespace actserve
