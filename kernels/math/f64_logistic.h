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

// s(x) = (x >= 0 ? 1 : q) / (1+q). NaN: NaN, +inf: 1, -inf: +0.
ACTSERVE_MATH double actserve_sigmoid_f64(double x) {
  using namespace actserve::f64;
  const Decay e = DecayOf(AtMost(Abs(x), kLogisticEnd));
  const bool left = x < 0.0;
  const double quotient = (left ? e.factor : 1.0) / (1.0 + e.q);
  return Scale(quotient, left ? e.exponent : kExponentZero);
}

// s'(x) = q / (1+q)^2. NaN: NaN, +-inf: +0.
ACTSERVE_MATH double actserve_sigmoid_grad_f64(double x) {
  using namespace actserve::f64;
  const Decay e = DecayOf(AtMost(Abs(x), kLogisticEnd));
  return Scale(e.factor / OnePlusSquared(e.q), e.exponent);
}

// log(1+exp(x)) = max(x, 0) + log1p(q). NaN: NaN, +inf: +inf, -inf: +0.
ACTSERVE_MATH double actserve_softplus_f64(double x) {
  using namespace actserve::f64;
  const Decay e = DecayOf(AtMost(Abs(x), kLogisticEnd));
  return (x > 0.0 ? x : 0.0) + Log1pOf(e.q);
}

// -log(1+exp(-x)) = -softplus(-x). NaN: NaN, +inf: -0, -inf: -inf.
ACTSERVE_MATH double actserve_logsigmoid_f64(double x) {
  return -actserve_softplus_f64(-x);
}

// x s(x). NaN: NaN, +inf: +inf, -inf: -0, +-0: +-0.
ACTSERVE_MATH double actserve_silu_f64(double x) {
  using namespace actserve::f64;
  const double clamped = AtLeast(x, -kLogisticEnd);
  const Decay e = DecayOf(AtMost(Abs(x), kLogisticEnd));
  const bool left = x < 0.0;
  const double numerator = left ? clamped * e.factor : x;
  return Scale(numerator / (1.0 + e.q), left ? e.exponent : kExponentZero);
}

// d/dx x s(x) = s(x) (1 + x s(-x)), with d = 1+q: (d + x q)/d^2 on the right,
// q (d + x)/d^2 on the left. NaN: NaN, +inf: 1, -inf: -0; a root at -1.278.
ACTSERVE_MATH double actserve_silu_grad_f64(double x) {
  using namespace actserve::f64;
  const double clamped = AtMost(AtLeast(x, -kLogisticEnd), kLogisticEnd);
  const Decay e = DecayOf(Abs(clamped));
  const bool left = x < 0.0;
  const double d = 1.0 + e.q;
  const double sum = Fma(clamped, left ? 1.0 : e.q, d);
  const double quotient = sum * (left ? e.factor : 1.0) / OnePlusSquared(e.q);
  return Scale(quotient, left ? e.exponent : kExponentZero);
}

// 1 - tanh(x)^2 = 4 p / (1+p)^2, p = exp(-2|x|). NaN: NaN, +-inf: +0.
ACTSERVE_MATH double actserve_sech2_f64(double x) {
  using namespace actserve::f64;
  const Decay e = DecayOf(AtMost(2.0 * Abs(x), kLogisticEnd));
  return Scale(4.0 * e.factor / OnePlusSquared(e.q), e.exponent);
}

#endif  // ACTSERVE_KERNELS_MATH_F64_LOGISTIC_H_
