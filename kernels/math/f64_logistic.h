// double: the logistic function s(x) = 1/(1+exp(-x)) and what is made of it.
//
// All are written in q = exp(-|x|) <= 1, which cannot overflow; the side where
// q is a factor of the result takes its power of two last, so that results
// keep their bits down to the subnormal numbers.

#ifndef ACTSERVE_KERNELS_MATH_F64_LOGISTIC_H_
#define ACTSERVE_KERNELS_MATH_F64_LOGISTIC_H_

#include "kernels/math/f64_core.h"
#include "kernels/math/macros.h"

namespace actserve::f64 {

// q = exp(-a) = factor 2^(exponent - kExponentZero), a >= 0.
struct Decay {
  double q;
  double factor;
  Bits exponent;
};
ACTSERVE_MATH_INTERNAL Decay DecayOf(double a, double a_low = 0.0) {
  const Scaled e = ExpOf(-a, -a_low);
  const double factor = e.value.hi + e.value.lo;
  return {Scale(factor, e.exponent), factor, e.exponent};
}

// log(1+q), 0 <= q <= 1.
ACTSERVE_MATH_INTERNAL double Log1pOf(double q) {
  const Pair log = LogOf(FastTwoSum(1.0, q));
  return log.hi + log.lo;
}

// (1+q)^2, 0 <= q <= 1, with less rounding than a square of a sum.
ACTSERVE_MATH_INTERNAL double OnePlusSquared(double q) {
  return Fma(q, 2.0 + q, 1.0);
}

// Beyond this exp(-|x|) x^3 is 0.
constexpr double kLogisticEnd = 800.0;

}  // namespace actserve::f64

// s(x) = (x >= 0 ? 1 : q) / (1+q). NaN: NaN, +inf: 1, -inf: +0. 2.2 ulp.
ACTSERVE_MATH double actserve_sigmoid_f64(double x) {
  using namespace actserve::f64;
  const Decay e = DecayOf(AtMost(Abs(x), kLogisticEnd));
  const bool left = x < 0.0;
  const double quotient = (left ? e.factor : 1.0) / (1.0 + e.q);
  return Scale(quotient, left ? e.exponent : kExponentZero);
}

// s'(x) = q / (1+q)^2. NaN: NaN, +-inf: +0. 2.0 ulp.
ACTSERVE_MATH double actserve_sigmoid_grad_f64(double x) {
  using namespace actserve::f64;
  const Decay e = DecayOf(AtMost(Abs(x), kLogisticEnd));
  return Scale(e.factor / OnePlusSquared(e.q), e.exponent);
}

// log(1+exp(x)) = max(x, 0) + log1p(q). NaN: NaN, +inf: +inf, -inf: +0.
// 1.4 ulp.
ACTSERVE_MATH double actserve_softplus_f64(double x) {
  using namespace actserve::f64;
  const Decay e = DecayOf(AtMost(Abs(x), kLogisticEnd));
  return (x > 0.0 ? x : 0.0) + Log1pOf(e.q);
}

// -log(1+exp(-x)) = -softplus(-x). NaN: NaN, +inf: -0, -inf: -inf. 1.4 ulp.
ACTSERVE_MATH double actserve_logsigmoid_f64(double x) {
  return -actserve_softplus_f64(-x);
}

namespace actserve::f64 {

// x s(v) for v of x's sign, of which `e` is exp(-|v|); `clamped` is x no
// further left than where s(v) is 0.
ACTSERVE_MATH_INTERNAL double TimesLogistic(double x, double clamped, Decay e) {
  const bool left = x < 0.0;
  const double numerator = Select(left, clamped * e.factor, x);
  return Scale(numerator / (1.0 + e.q), left ? e.exponent : kExponentZero);
}

// s(v) (1 + x slope s(-v)): the derivative of x s(v) with slope = dv/dx. With
// d = 1+q, (d + x slope q)/d^2 on the right, q (d + x slope)/d^2 on the left.
ACTSERVE_MATH_INTERNAL double TimesLogisticGrad(double x, double slope,
                                                Decay e) {
  const bool left = x < 0.0;
  const double sum = Fma(Select(left, x, x * e.q), slope, 1.0 + e.q);
  const double quotient = sum * (left ? e.factor : 1.0) / OnePlusSquared(e.q);
  return Scale(quotient, left ? e.exponent : kExponentZero);
}

}  // namespace actserve::f64

// x s(x). NaN: NaN, +inf: +inf, -inf: -0, +-0: +-0. 2.9 ulp.
ACTSERVE_MATH double actserve_silu_f64(double x) {
  using namespace actserve::f64;
  const double a = AtMost(Abs(x), kLogisticEnd);
  return TimesLogistic(x, AtLeast(x, -kLogisticEnd), DecayOf(a));
}

// d/dx x s(x) = s(x) (1 + x s(-x)). NaN: NaN, +inf: 1, -inf: -0; a root at
// -1.278. 2.4 ulp of the larger term.
ACTSERVE_MATH double actserve_silu_grad_f64(double x) {
  using namespace actserve::f64;
  const double clamped = AtMost(AtLeast(x, -kLogisticEnd), kLogisticEnd);
  return TimesLogisticGrad(clamped, 1.0, DecayOf(Abs(clamped)));
}

namespace actserve::f64 {

// a b in two words; one beyond `end` stays there.
ACTSERVE_MATH_INTERNAL Pair MultiplyWithin(double a, double b, double end) {
  const double product = a * b;
  const double high = AtMost(AtLeast(product, -end), end);
  const double low = Fma(a, b, -product);
  return {high, high == product ? low : 0.0};
}

}  // namespace actserve::f64

// x s(b x) = x q / (1 + q) where b x < 0 and x / (1 + q) elsewhere, q =
// exp(-|b x|). Where q underflows but x q does not, x and
// q are scaled. NaN in one, 0 * inf: NaN; b x = +inf: x, b x = -inf: 0 with the
// sign of x. 2.5 ulp.
ACTSERVE_MATH double actserve_scaled_silu_f64(double x, double b) {
  using namespace actserve::f64;
  const Pair v = MultiplyWithin(x, b, 1470.0);
  const bool left = v.hi < 0.0;
  const double a = Abs(v.hi);
  const bool far = a > 700.0;
  // Beyond 1400 the exponent wraps around, and back with 1024 more.
  const Scaled exp = ExpOf(-a, left ? v.lo : -v.lo);
  const double factor = exp.value.hi + exp.value.lo;
  const Bits exponent = (exp.exponent + (far ? 1024 : 0)) & 0xfff;
  const double q = far ? 0.0 : Scale(factor, exponent);
  // Half of x: times the factor it is finite.
  const double half = AtMost(AtLeast(x, -kMaxFinite), kMaxFinite) * 0.5;
  const double scaled = far ? half * 0x1p-512 : half;
  const double quotient = Select(left, scaled * factor, x) / (1.0 + q);
  const double value = Scale(quotient, left ? exponent + 1 : kExponentZero);
  return left && far ? value * 0x1p-512 : value;
}

// d/dx x s(b x), which depends on v = b x alone: silu'(v). NaN in one, 0 * inf:
// NaN; v = +inf: 1, v = -inf: -0; a root at v = -1.278. 2.9 ulp of the larger
// term.
ACTSERVE_MATH double actserve_scaled_silu_grad_f64(double x, double b) {
  using namespace actserve::f64;
  const Pair v = MultiplyWithin(x, b, kLogisticEnd);
  const Decay e = DecayOf(Abs(v.hi), v.hi < 0.0 ? -v.lo : v.lo);
  return TimesLogisticGrad(v.hi, 1.0, e);
}

namespace actserve::f64 {

// v = 2 sqrt(2/pi) (x + 0.044715 x^3), for which x (1+tanh(v/2))/2 = x s(v).
constexpr Pair kGeluLinear = {0x1.9884533d43651p+0, -0x1.cbc0d30ebfd15p-54};
constexpr Pair kGeluCubic = {0x1.2444f2a4d8b4bp-4, -0x1.6c843a29d1c70p-61};
// Beyond this exp(-|v|) v is 0.
constexpr double kGeluTanhEnd = 25.0;

// |v| in a pair, as an exponent needs it, and dv/dx.
struct GeluTanhArgument {
  Pair v;
  double slope;
};
ACTSERVE_MATH_INTERNAL GeluTanhArgument GeluTanhArgumentOf(double a) {
  const Pair cubic = Multiply(kGeluCubic, TwoProduct(a, a));
  const Pair sum = TwoSum(kGeluLinear.hi, cubic.hi);
  const double low = sum.lo + (kGeluLinear.lo + cubic.lo);
  return {Multiply(FastTwoSum(sum.hi, low), a),
          Fma(3.0, cubic.hi, kGeluLinear.hi)};
}

}  // namespace actserve::f64

// x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))/2, both numbers exact. NaN: NaN,
// +inf: +inf, -inf: -0, +-0: +-0. 2.9 ulp.
ACTSERVE_MATH double actserve_gelu_tanh_f64(double x) {
  using namespace actserve::f64;
  const Pair v = GeluTanhArgumentOf(AtMost(Abs(x), kGeluTanhEnd)).v;
  return TimesLogistic(x, AtLeast(x, -kGeluTanhEnd), DecayOf(v.hi, v.lo));
}

// The derivative of gelu_tanh. NaN: NaN, +inf: 1, -inf: -0; a root at -0.753.
// 3.3 ulp of the larger term.
ACTSERVE_MATH double actserve_gelu_tanh_grad_f64(double x) {
  using namespace actserve::f64;
  const double clamped = AtMost(AtLeast(x, -kGeluTanhEnd), kGeluTanhEnd);
  const GeluTanhArgument argument = GeluTanhArgumentOf(Abs(clamped));
  const Decay e = DecayOf(argument.v.hi, argument.v.lo);
  return TimesLogisticGrad(clamped, argument.slope, e);
}

namespace actserve::f64 {

// tanh(log(1+e)) = n/(n+2), n = e(e+2), e = exp(x), in q: (1+2q)/(1+2q+2q^2)
// on the right, q (2+q)/(2+2q+q^2) on the left, there without the factor q.
struct MishParts {
  Pair numerator;
  // base + m.
  double base;
  double m;
};
ACTSERVE_MATH_INTERNAL MishParts MishPartsOf(bool left, double q) {
  const double base = left ? 2.0 : 1.0;
  const double once = Select(left, q, 2.0 * q);
  return {FastTwoSum(base, once), base, once * Select(left, 2.0 + q, 1.0 + q)};
}

}  // namespace actserve::f64

// x tanh(log(1+exp(x))). NaN: NaN, +inf: +inf, -inf: -0, +-0: +-0. 2.5 ulp.
ACTSERVE_MATH double actserve_mish_f64(double x) {
  using namespace actserve::f64;
  const Decay e = DecayOf(AtMost(Abs(x), kLogisticEnd));
  const bool left = x < 0.0;
  const MishParts w = MishPartsOf(left, e.q);
  const Pair denominator = FastTwoSum(w.base, w.m);
  const Pair tanh = Divide(w.numerator, denominator, 1.0 / denominator.hi);
  const double clamped = AtLeast(x, -kLogisticEnd);
  const double scaled = clamped * (left ? e.factor : 1.0);
  return Scale(scaled * (tanh.hi + tanh.lo), left ? e.exponent : kExponentZero);
}

// The derivative of mish: (n (n+2) + 4 x e (e+1)) / (n+2)^2, in q as above.
// NaN: NaN, +inf: 1, -inf: -0; a root at -1.192. 3.4 ulp of the larger term.
ACTSERVE_MATH double actserve_mish_grad_f64(double x) {
  using namespace actserve::f64;
  const double clamped = AtMost(AtLeast(x, -kLogisticEnd), kLogisticEnd);
  const Decay e = DecayOf(Abs(clamped));
  const bool left = x < 0.0;
  const MishParts w = MishPartsOf(left, e.q);
  const double slope =
      4.0 * clamped * (1.0 + e.q) * Select(left, 1.0, e.q * e.q);
  const double sum = Fma(w.numerator.hi, w.base + w.m, slope);
  // (base + m)^2, where m may be small.
  const double square = Fma(w.m, Fma(2.0, w.base, w.m), w.base * w.base);
  const double quotient = sum * (left ? e.factor : 1.0) / square;
  return Scale(quotient, left ? e.exponent : kExponentZero);
}

// 1 - tanh(x)^2 = 4 p / (1+p)^2, p = exp(-2|x|). NaN: NaN, +-inf: +0. 2.0 ulp.
ACTSERVE_MATH double actserve_sech2_f64(double x) {
  using namespace actserve::f64;
  const Decay e = DecayOf(AtMost(2.0 * Abs(x), kLogisticEnd));
  return Scale(4.0 * e.factor / OnePlusSquared(e.q), e.exponent);
}

#endif  // ACTSERVE_KERNELS_MATH_F64_LOGISTIC_H_
