// double: the error function, the normal distribution Phi, and x Phi(x).
//
// On the side where erfc is small it is exp(-a*a) erfcx(a), the exponent in a
// pair and its power of two applied last, so that no digit of a tail is lost:
// with a = |x|/sqrt(2) the exponent is -x*x/2 exactly, whatever a rounds to.

#ifndef ACTSERVE_KERNELS_MATH_F64_NORMAL_H_
#define ACTSERVE_KERNELS_MATH_F64_NORMAL_H_

#include "kernels/math/f64_core.h"
#include "kernels/math/macros.h"

namespace actserve::f64 {

constexpr double kSqrtHalf = 0x1.6a09e667f3bcdp-1;
// 1/sqrt(2 pi).
constexpr Pair kOverSqrt2Pi = {0x1.9884533d43651p-2, -0x1.cbc0d30ebfd15p-56};
// Beyond this exp(-x*x/2) x is 0.
constexpr double kNormalEnd = 39.5;

// exp(-factor x*x) for |x| <= 40 and a power of two as factor.
ACTSERVE_MATH_INTERNAL Scaled ExpMinusSquare(double x, double factor) {
  const Pair square = TwoProduct(x, x);
  return ExpOf(-factor * square.hi, -factor * square.lo);
}

// erfcx(a) = exp(a*a) erfc(a) to 2^-54, for 0 <= a <= 28. (1+2a) erfcx(a) is
// near 1 everywhere and a polynomial in q = (a-4)/(a+4), as in M. M. Shepherd
// and J. G. Laframboise, "Chebyshev approximation of (1+2x) exp(x^2) erfc(x)
// in 0 <= x < inf", 1981. Both quotients take the rest of their division.
// [minimax.py erfcx]
ACTSERVE_MATH_INTERNAL Pair Erfcx(double a) {
  const double a_plus_4 = a + 4.0;
  const double a_plus_half = a + 0.5;
  const double reciprocal = 1.0 / (a_plus_4 * a_plus_half);
  const double over_a_plus_4 = reciprocal * a_plus_half;
  const double over_1_plus_2a = reciprocal * a_plus_4 * 0.5;
  const double q0 = (a - 4.0) * over_a_plus_4;
  const double rest = Fma(q0, -a, Fma(q0 + 1.0, -4.0, a));
  const double q = Fma(rest, over_a_plus_4, q0);
  double p = -0x1.d7c4e5f62409dp-30;
  p = Fma(p, q, -0x1.cc6320f97bb44p-27);
  p = Fma(p, q, -0x1.0c9b227e821e8p-27);
  p = Fma(p, q, 0x1.ec196a3defee3p-24);
  p = Fma(p, q, 0x1.0c66cca77e418p-24);
  p = Fma(p, q, -0x1.bfdec466fa38bp-21);
  p = Fma(p, q, 0x1.4417815f512b7p-22);
  p = Fma(p, q, 0x1.7fada5fa49705p-18);
  p = Fma(p, q, -0x1.78a7bd8fc9e06p-17);
  p = Fma(p, q, -0x1.9969af7879df2p-16);
  p = Fma(p, q, 0x1.3be0ce2ba9098p-13);
  p = Fma(p, q, -0x1.a1de85e504668p-13);
  p = Fma(p, q, -0x1.8d4a9f9fc9490p-11);
  p = Fma(p, q, 0x1.49c67195d14e5p-8);
  p = Fma(p, q, -0x1.09623880e03b8p-6);
  p = Fma(p, q, 0x1.3079edf9e6af9p-5);
  p = Fma(p, q, -0x1.0fb06dfe56363p-4);
  p = Fma(p, q, 0x1.7fee004df763fp-4);
  p = Fma(p, q, -0x1.9ddb23c3e8c73p-4);
  p = Fma(p, q, 0x1.16ecefcfa5fe0p-4);
  p = Fma(p, q, 0x1.f7f5df66fd77ap-7);
  p = Fma(p, q, -0x1.1df1ad154a29cp-3);
  p = Fma(p, q, 0x1.dd2c8b74febf6p-3);
  return Divide(FastTwoSum(1.0, p), TwoSum(1.0, 2.0 * a), over_1_plus_2a);
}

// erfc(a) = (value) 2^(exponent - kExponentZero).
struct Tail {
  double scaled;
  double value;
  Bits exponent;
};
ACTSERVE_MATH_INTERNAL Tail TailOf(Scaled exp, Pair erfcx) {
  const Pair product = Multiply(erfcx, exp.value);
  const double value = product.hi + product.lo;
  return {Scale(value, exp.exponent), value, exp.exponent};
}

// erfc(|x|).
ACTSERVE_MATH_INTERNAL Tail ErfcOfAbs(double x) {
  const double a = AtMost(Abs(x), 28.0);
  return TailOf(ExpMinusSquare(a, 1.0), Erfcx(a));
}

// 2 Phi(-|x|) = erfc(|x|/sqrt(2)).
ACTSERVE_MATH_INTERNAL Tail NormalTail(double x) {
  const double a = AtMost(Abs(x), kNormalEnd);
  return TailOf(ExpMinusSquare(a, 0.5), Erfcx(a * kSqrtHalf));
}

}  // namespace actserve::f64

// exp(-x*x). NaN: NaN, +-inf: +0. 0.74 ulp.
ACTSERVE_MATH double actserve_exp_minus_square_f64(double x) {
  using namespace actserve::f64;
  const Scaled e = ExpMinusSquare(AtMost(Abs(x), 28.0), 1.0);
  return Scale(e.value.hi + e.value.lo, e.exponent);
}

// erf(x): its series below 0.85, 1 - erfc(|x|) beyond. NaN: NaN, +-inf: +-1,
// +-0: +-0. 0.80 ulp. [minimax.py erf]
ACTSERVE_MATH double actserve_erf_f64(double x) {
  using namespace actserve::f64;
  const double z = x * x;
  double p = -0x1.e600c50a344dbp-31;
  p = Fma(p, z, 0x1.e797ddf194be0p-27);
  p = Fma(p, z, -0x1.5e0e19be64e78p-23);
  p = Fma(p, z, 0x1.b9c86f2ef4ce5p-20);
  p = Fma(p, z, -0x1.f4d0a6990c0ffp-17);
  p = Fma(p, z, 0x1.f9a3167aa002fp-14);
  p = Fma(p, z, -0x1.c02db3974293fp-11);
  p = Fma(p, z, 0x1.565bcd0cc2346p-8);
  p = Fma(p, z, -0x1.b82ce31280cdep-6);
  p = Fma(p, z, 0x1.ce2f21a042aaap-4);
  p = Fma(p, z, -0x1.812746b0379e6p-2);
  p = Fma(p, z, 0x1.06eba8214db69p-3);
  const double near = Fma(x, p, x);
  const double far = CopySign(1.0 - ErfcOfAbs(x).scaled, x);
  return Abs(x) < 0.85 ? near : far;
}

// erfc(x) = 1 - erf(x). NaN: NaN, +inf: +0, -inf: 2. 1.9 ulp.
ACTSERVE_MATH double actserve_erfc_f64(double x) {
  using namespace actserve::f64;
  const double tail = ErfcOfAbs(x).scaled;
  return Select(x < 0.0, 2.0 - tail, tail);
}

// Phi(x) = erfc(-x/sqrt(2))/2. NaN: NaN, +inf: 1, -inf: +0. 2.1 ulp.
ACTSERVE_MATH double actserve_normcdf_f64(double x) {
  using namespace actserve::f64;
  const Tail tail = NormalTail(x);
  return Select(x < 0.0, Scale(0.5 * tail.value, tail.exponent),
                Fma(-0.5, tail.scaled, 1.0));
}

// Phi'(x) = exp(-x*x/2)/sqrt(2 pi). NaN: NaN, +-inf: +0. 0.75 ulp.
ACTSERVE_MATH double actserve_normpdf_f64(double x) {
  using namespace actserve::f64;
  const Scaled e = ExpMinusSquare(AtMost(Abs(x), kNormalEnd), 0.5);
  const Pair density = Multiply(kOverSqrt2Pi, e.value);
  return Scale(density.hi + density.lo, e.exponent);
}

// x Phi(x). NaN: NaN, +inf: +inf, -inf: -0, +-0: +-0. 2.9 ulp.
ACTSERVE_MATH double actserve_gelu_f64(double x) {
  using namespace actserve::f64;
  const Tail tail = NormalTail(x);
  const double left = 0.5 * AtLeast(x, -kNormalEnd) * tail.value;
  const double right = x * Fma(-0.5, tail.scaled, 1.0);
  return Select(x < 0.0, Scale(left, tail.exponent), right);
}

// d/dx x Phi(x) = Phi(x) + x Phi'(x): with e = exp(-x*x/2) and t = erfcx/2 -
// |x|/sqrt(2 pi), e t on the left and 1 - e t on the right. NaN: NaN, +inf: 1,
// -inf: -0; a root at -0.752. 2.8 ulp of the larger term.
ACTSERVE_MATH double actserve_gelu_grad_f64(double x) {
  using namespace actserve::f64;
  const double a = AtMost(Abs(x), kNormalEnd);
  const Scaled e = ExpMinusSquare(a, 0.5);
  const Pair erfcx = Erfcx(a * kSqrtHalf);
  const double t = Fma(0.5, erfcx.lo, Fma(-kOverSqrt2Pi.hi, a, 0.5 * erfcx.hi));
  const double product = Scale((e.value.hi + e.value.lo) * t, e.exponent);
  return Select(x < 0.0, product, 1.0 - product);
}

#endif  // ACTSERVE_KERNELS_MATH_F64_NORMAL_H_
