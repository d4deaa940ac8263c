// float: remainders, exact for every pair.

#ifndef ACTSERVE_KERNELS_MATH_F32_MOD_H_
#define ACTSERVE_KERNELS_MATH_F32_MOD_H_

#include "kernels/math/f32_core.h"
#include "kernels/math/macros.h"

namespace actserve::f32 {

// One step of Remainder: removes the nearest multiple of y 2^k, about.
ACTSERVE_MATH_INTERNAL double RemainderStep(double r, double y, double inverse,
                                            double power) {
  const double quotient = __builtin_rint(r * (inverse / power));
  return __builtin_fma(-quotient, y * power, r);
}

// C's fmod of two floats, as a double: exact. Each step's quotient has at most
// 47 bits, so that it is off by one at most, and each remainder is a multiple
// of the last place of x or y below 2^25 of them, so that each fma is exact.
ACTSERVE_MATH_INTERNAL double Remainder(float x, float y) {
  const double a = __builtin_fabs(static_cast<double>(x));
  const double size = __builtin_fabs(static_cast<double>(y));
  // If the divisor is infinite, only its size matters.
  const double b = size > 0x1p128 - 1.0 ? 0x1p200 : size;
  const double inverse = 1.0 / b;
  double r = RemainderStep(a, b, inverse, 0x1p230);
  r = RemainderStep(r, b, inverse, 0x1p184);
  r = RemainderStep(r, b, inverse, 0x1p138);
  r = RemainderStep(r, b, inverse, 0x1p92);
  r = RemainderStep(r, b, inverse, 0x1p46);
  r = RemainderStep(r, b, inverse, 1.0);
  r = r < 0.0 ? r + b : r;
  return __builtin_copysign(r, static_cast<double>(x));
}

}  // namespace actserve::f32

// C's fmod: x - trunc(x/y) y, exact; the sign is x's.
// NaN where x is infinite, y is 0, or either is NaN; x where y is infinite.
ACTSERVE_MATH float actserve_fmod_f32(float x, float y) {
  using namespace actserve::f32;
  return static_cast<float>(Remainder(x, y));
}

// Python's x % y, exact but for the rounding of fmod(x, y) + y where the signs
// differ: the sign of a result is y's, also of a zero.
// NaN where x is infinite, y is 0, or either is NaN.
ACTSERVE_MATH float actserve_floormod_f32(float x, float y) {
  using namespace actserve::f32;
  const float r = static_cast<float>(Remainder(x, y));
  const float moved = (r < 0.0f) != (y < 0.0f) ? r + y : r;
  return r == 0.0f ? CopySign(0.0f, y) : moved;
}

// x % 1, equal to actserve_floormod_f32(x, 1.0f) bit for bit: both round the
// same real number, x - floor(x), once.
ACTSERVE_MATH float actserve_floormod1_f32(float x) {
  return x - __builtin_floorf(x);
}

// Python's x // y: (x - x % y) / y as an integer, computed in double and
// rounded once. Where y is 0, x / y; NaN where x is infinite or either is NaN.
ACTSERVE_MATH float actserve_floordiv_f32(float x, float y) {
  using namespace actserve::f32;
  const double r = Remainder(x, y);
  const double quotient =
      __builtin_rint((static_cast<double>(x) - r) / static_cast<double>(y));
  const double below = r != 0.0 && (r < 0.0) != (y < 0.0f) ? 1.0 : 0.0;
  const float value = static_cast<float>(quotient - below);
  const float ratio = x / y;
  const float nonzero = y == 0.0f ? ratio : value;
  return value == 0.0f ? CopySign(0.0f, ratio) : nonzero;
}

#endif  // ACTSERVE_KERNELS_MATH_F32_MOD_H_
