// double: exp and its relatives.

#ifndef ACTSERVE_KERNELS_MATH_F64_EXP_H_
#define ACTSERVE_KERNELS_MATH_F64_EXP_H_

#include "kernels/math/f64_core.h"
#include "kernels/math/macros.h"

// exp(x). All doubles; overflow gives +inf, subnormal results are kept.
// exp(NaN) = NaN, exp(+inf) = +inf, exp(-inf) = +0, exp(+-0) = 1. 0.73 ulp.
ACTSERVE_MATH double actserve_exp_f64(double x) {
  using namespace actserve::f64;
  const Scaled e = ExpOf(AtMost(AtLeast(x, -746.0), 710.0));
  return Scale(e.value.hi + e.value.lo, e.exponent);
}

// 2^x. All doubles, as exp; exact where x is an integer. 0.74 ulp.
ACTSERVE_MATH double actserve_exp2_f64(double x) {
  using namespace actserve::f64;
  const double bias = kRound + static_cast<double>(kExponentZero);
  const double clamped = AtMost(AtLeast(x, -1080.0), 1025.0);
  const double shifted = clamped + bias;
  const double fraction = clamped - (shifted - bias);
  const Pair r = Multiply(kLn2, fraction);
  const Pair value = ExpReduced(r.hi, r.lo);
  return Scale(value.hi + value.lo, ToBits(shifted) & 0xfff);
}

namespace actserve::f64 {

// exp(x) - 1 to 2^-58 of its size, for -40 <= x <= 710, halved.
ACTSERVE_MATH_INTERNAL Pair HalfExpm1(double x) {
  const Scaled e = ExpOf(x);
  const double half_scale = Pow2(e.exponent, -1);
  const Pair sum = TwoSum(half_scale * e.value.hi, -0.5);
  return {sum.hi, Fma(half_scale, e.value.lo, sum.lo)};
}

}  // namespace actserve::f64

// exp(x) - 1. All doubles; overflow gives +inf. NaN: NaN, +inf: +inf, -inf: -1,
// +-0: +-0. 0.89 ulp.
ACTSERVE_MATH double actserve_expm1_f64(double x) {
  using namespace actserve::f64;
  const Pair half = HalfExpm1(AtMost(AtLeast(x, -40.0), 710.0));
  return Select(Abs(x) < 0x1p-54, x, 2.0 * (half.hi + half.lo));
}

#endif  // ACTSERVE_KERNELS_MATH_F64_EXP_H_
