// float: pow, and the logarithms to other bases, in double.

#ifndef ACTSERVE_KERNELS_MATH_F32_POW_H_
#define ACTSERVE_KERNELS_MATH_F32_POW_H_

#include "kernels/math/f32_core.h"
#include "kernels/math/f32_wide.h"
#include "kernels/math/macros.h"

// log2(x); exact for powers of two. x > 0, subnormals included.
// Largest error 0.51 ulp.
// NaN: NaN, +inf: +inf, +-0: -inf, below 0: NaN.
ACTSERVE_MATH float actserve_log2_f32(float x) {
  using namespace actserve::f32;
  return Narrow(WideLog(Wide(x)) * kWideLog2E);
}

// log10(x). x > 0, subnormals included.
// Largest error 0.51 ulp.
// NaN: NaN, +inf: +inf, +-0: -inf, below 0: NaN.
ACTSERVE_MATH float actserve_log10_f32(float x) {
  using namespace actserve::f32;
  return Narrow(WideLog(Wide(x)) * 0x1.bcb7b1526e50ep-2);
}

// x^y = exp(y log(|x|)), the sign and the special cases as C's pow has them:
// x^0 = 1 and 1^y = 1 also for NaN, (-1)^(+-inf) = 1, NaN for x < 0 and y not
// an integer. All pairs of floats; subnormal results are kept.
// Largest error 0.51 ulp.
ACTSERVE_MATH float actserve_pow_f32(float x, float y) {
  using namespace actserve::f32;
  const float a = Abs(x);
  const double exponent = Wide(y) * WideLog(Wide(a));
  const double above = exponent < -200.0 ? -200.0 : exponent;
  const double clamped = above > 200.0 ? 200.0 : above;
  const WideExpArgument argument = ReduceWideExp(clamped);
  const double exp_r = WideCoshSeries(argument.r) + WideSinhSeries(argument.r);
  const float magnitude = Narrow(exp_r * argument.power);
  const float whole = __builtin_truncf(y);
  const float half = 0.5f * whole;
  const bool integer = whole == y;
  const bool odd = integer && __builtin_truncf(half) != half;
  const Bits sign = odd ? ToBits(x) & 0x80000000u : 0u;
  const float value = FromBits(ToBits(magnitude) | sign);
  const bool imaginary = x < 0.0f && a < kInfinity && !integer;
  const float real = imaginary ? kNaN : value;
  const bool unit =
      x == 1.0f || y == 0.0f || (x == -1.0f && Abs(y) == kInfinity);
  return unit ? 1.0f : real;
}

#endif  // ACTSERVE_KERNELS_MATH_F32_POW_H_
