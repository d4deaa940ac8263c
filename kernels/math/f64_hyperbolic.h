// double: hyperbolic functions and their inverses.

#ifndef ACTSERVE_KERNELS_MATH_F64_HYPERBOLIC_H_
#define ACTSERVE_KERNELS_MATH_F64_HYPERBOLIC_H_

#include "kernels/math/f64_core.h"
#include "kernels/math/f64_exp.h"
#include "kernels/math/f64_log.h"
#include "kernels/math/macros.h"

namespace actserve::f64 {

// tanh(|x|) = h/(h+1), h = expm1(2|x|)/2, to 2^-57.
ACTSERVE_MATH_INTERNAL Pair TanhOfAbs(double x) {
  const Pair parts = HalfExpm1(AtMost(2.0 * Abs(x), 80.0));
  const Pair half = FastTwoSum(parts.hi, parts.lo);
  const Pair sum = TwoSum(half.hi, 1.0);
  return Divide(half, {sum.hi, sum.lo + half.lo}, 1.0 / sum.hi);
}

}  // namespace actserve::f64

// tanh(x). NaN: NaN, +-inf: +-1, +-0: +-0. 0.74 ulp.
ACTSERVE_MATH double actserve_tanh_f64(double x) {
  using namespace actserve::f64;
  const Pair tanh = TanhOfAbs(x);
  return CopySign(tanh.hi + tanh.lo, x);
}

// x - tanh(x): its series near 0, where the difference cancels. NaN: NaN,
// +-inf: +-inf, +-0: +-0. 1.9 ulp. [minimax.py tanhshrink]
ACTSERVE_MATH double actserve_tanhshrink_f64(double x) {
  using namespace actserve::f64;
  const double a = Abs(x);
  const double z = a * a;
  double p = -0x1.299ccc92fe604p-17;
  p = Fma(p, z, 0x1.26f67258d4cf5p-15);
  p = Fma(p, z, -0x1.905c9bc04366ep-14);
  p = Fma(p, z, 0x1.f4c88d7327d19p-13);
  p = Fma(p, z, -0x1.35512cd07898bp-11);
  p = Fma(p, z, 0x1.7da30812d4a68p-10);
  p = Fma(p, z, -0x1.d6d3cdba314ffp-9);
  p = Fma(p, z, 0x1.226e3555a8300p-7);
  p = Fma(p, z, -0x1.664f4882a442fp-6);
  p = Fma(p, z, 0x1.ba1ba1ba1b70dp-5);
  p = Fma(p, z, -0x1.1111111111110p-3);
  p = Fma(p, z, 0x1.5555555555555p-2);
  // a*a*a in a pair.
  const Pair cube = TwoProduct(a, z);
  const double cube_low = Fma(a, Fma(a, a, -z), cube.lo);
  const double near = Fma(cube.hi, p, cube_low * p);
  const Pair tanh = TanhOfAbs(x);
  const double far = (a - tanh.hi) - tanh.lo;
  return CopySign(a < 0.5 ? near : far, x);
}

namespace actserve::f64 {

// exp(|x|)/4 and exp(-|x|)/4; the second, where it matters beside the first.
struct QuarterExps {
  Pair grown;
  double decayed;
};
ACTSERVE_MATH_INTERNAL QuarterExps QuarterExpsOf(double x) {
  const Scaled e = ExpOf(AtMost(Abs(x), 710.6));
  const double up = Pow2(e.exponent, -2);
  const Bits last = kExponentZero + 100;
  const Bits exponent = e.exponent < last ? e.exponent : last;
  const double down = Pow2(2 * kExponentZero - exponent, -2);
  const double inverse = down / (e.value.hi + e.value.lo);
  return {{up * e.value.hi, up * e.value.lo}, inverse};
}

}  // namespace actserve::f64

// sinh(x): its series below 1. Overflow gives +-inf. NaN: NaN, +-inf: +-inf,
// +-0: +-0. 0.76 ulp. [minimax.py sinh]
ACTSERVE_MATH double actserve_sinh_f64(double x) {
  using namespace actserve::f64;
  const double a = Abs(x);
  const double z = a * a;
  double p = 0x1.9a7f597473721p-49;
  p = Fma(p, z, 0x1.ae75567f6190fp-41);
  p = Fma(p, z, 0x1.61246b20c26d5p-33);
  p = Fma(p, z, 0x1.ae645673db912p-26);
  p = Fma(p, z, 0x1.71de3a557431ep-19);
  p = Fma(p, z, 0x1.a01a01a019fbdp-13);
  p = Fma(p, z, 0x1.1111111111111p-7);
  p = Fma(p, z, 0x1.5555555555555p-3);
  const double near = Fma(a * z, p, a);
  const QuarterExps e = QuarterExpsOf(x);
  const double far = 2.0 * (e.grown.hi + (e.grown.lo - e.decayed));
  return CopySign(a < 1.0 ? near : far, x);
}

// cosh(x). Overflow gives +inf. NaN: NaN, +-inf: +inf, +-0: 1. 0.77 ulp.
ACTSERVE_MATH double actserve_cosh_f64(double x) {
  using namespace actserve::f64;
  const QuarterExps e = QuarterExpsOf(x);
  const Pair sum = FastTwoSum(e.grown.hi, e.decayed);
  return 2.0 * (sum.hi + (sum.lo + e.grown.lo));
}

// asinh(x) = log1p(|x| + x*x / (1 + sqrt(1 + x*x))), with x's sign; far out
// log(2|x|). NaN: NaN, +-inf: +-inf, +-0: +-0. 1.4 ulp.
ACTSERVE_MATH double actserve_asinh_f64(double x) {
  using namespace actserve::f64;
  const double a = Abs(x);
  const bool far = a > 0x1p30;
  const double z = a * a;
  const Pair sum = TwoSum(1.0, a + z / (1.0 + Sqrt(1.0 + z)));
  const Pair log =
      LogOf({far ? a : sum.hi, far ? 0.0 : sum.lo}, far ? 1.0 : 0.0);
  const double value = CopySign(LogOrSpecial(a, log.hi + log.lo), x);
  return Select(a < 0x1p-28, x, value);
}

// acosh(x) = log1p(t + sqrt(t (t + 2))), t = x - 1; far out log(2x). NaN and x
// < 1: NaN, +inf: +inf, 1: +0. 1.3 ulp.
ACTSERVE_MATH double actserve_acosh_f64(double x) {
  using namespace actserve::f64;
  const bool far = x > 0x1p30;
  const double t = x - 1.0;
  const Pair rise = FastTwoSum(Sqrt(Fma(t, t, 2.0 * t)), t);
  const Pair sum = TwoSum(1.0, rise.hi);
  const double low = sum.lo + rise.lo;
  const Pair log = LogOf({far ? x : sum.hi, far ? 0.0 : low}, far ? 1.0 : 0.0);
  return Select(x >= 1.0, LogOrSpecial(x, log.hi + log.lo), kNaN);
}

// atanh(x) = log1p(2|x| / (1 - |x|)) / 2, with x's sign. NaN and |x| > 1: NaN,
// +-1: +-inf, +-0: +-0. 0.60 ulp.
ACTSERVE_MATH double actserve_atanh_f64(double x) {
  using namespace actserve::f64;
  const double a = Abs(x);
  const Pair denominator = TwoSum(1.0, -a);
  const Pair ratio = Divide({2.0 * a, 0.0}, denominator, 1.0 / denominator.hi);
  const Pair sum = TwoSum(1.0, ratio.hi);
  const Pair log = LogOf(FastTwoSum(sum.hi, sum.lo + ratio.lo));
  const double inside = Select(a < 0x1p-28, a, 0.5 * (log.hi + log.lo));
  const double beyond = a == 1.0 ? kInfinity : kNaN;
  return CopySign(Select(a < 1.0, inside, beyond), x);
}

#endif  // ACTSERVE_KERNELS_MATH_F64_HYPERBOLIC_H_
