// double: hyperbolic functions and their inverses.

#ifndef ACTSERVE_KERNELS_MATH_F64_HYPERBOLIC_H_
#define ACTSERVE_KERNELS_MATH_F64_HYPERBOLIC_H_

#include "kernels/math/f64_core.h"
#include "kernels/math/f64_exp.h"
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

// tanh(x). NaN: NaN, +-inf: +-1, +-0: +-0.
ACTSERVE_MATH double actserve_tanh_f64(double x) {
  using namespace actserve::f64;
  const Pair tanh = TanhOfAbs(x);
  return CopySign(tanh.hi + tanh.lo, x);
}

// x - tanh(x): its series near 0, where the difference cancels.
// NaN: NaN, +-inf: +-inf, +-0: +-0. [minimax.py tanhshrink]
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

#endif  // ACTSERVE_KERNELS_MATH_F64_HYPERBOLIC_H_
