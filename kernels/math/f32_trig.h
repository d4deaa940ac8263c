// float: sin, cos, tan and their inverses.

#ifndef ACTSERVE_KERNELS_MATH_F32_TRIG_H_
#define ACTSERVE_KERNELS_MATH_F32_TRIG_H_

#include "kernels/math/f32_core.h"
#include "kernels/math/f32_wide.h"
#include "kernels/math/macros.h"

namespace actserve::f32 {

// sin(r + r_low + quarter pi/2), |r| <= pi/4; the quarter's two low bits count.
ACTSERVE_MATH_INTERNAL float SinOfParts(float r, float r_low, Bits quarter) {
  const float z = r * r;
  float p = 0x1.7c2da2p-19f;  // "sin": (sin(r)/r - 1) / r^2 in r^2
  p = Fma(p, z, -0x1.a05956p-13f);
  p = Fma(p, z, 0x1.111174p-7f);
  p = Fma(p, z, -0x1.555556p-3f);
  const float sine = r + Fma(r * z, p, r_low);
  float q = 0x1.99e80cp-16f;  // "cos": (cos(r) - 1 + r^2/2) / r^4 in r^2
  q = Fma(q, z, -0x1.6c0c28p-10f);
  q = Fma(q, z, 0x1.55554ap-5f);
  const float half = 0.5f * z;
  const float high = 1.0f - half;
  const float low = (1.0f - high) - half;
  const float cosine = high + Fma(z * z, q, low);
  const float value = (quarter & 1) != 0 ? cosine : sine;
  return FromBits(ToBits(value) ^ ((quarter & 2) << 30));
}

// sin(rest + turns pi/2).
ACTSERVE_MATH_INTERNAL float SinOfAngle(double rest, float turns) {
  const float r = Narrow(rest);
  return SinOfParts(r, Narrow(rest - Wide(r)), ToBits(turns + kRound));
}

}  // namespace actserve::f32

// sin(x). All floats, huge ones included.
// Largest error 1.09 ulp.
// NaN: NaN, +-inf: NaN, +-0: +-0.
ACTSERVE_MATH float actserve_sin_f32(float x) {
  using namespace actserve::f32;
  const Angle angle = ReduceAngle(Wide(x));
  return x == 0.0f ? x : SinOfAngle(angle.r, angle.turns);
}

// cos(x). All floats, huge ones included.
// Largest error 1.09 ulp.
// NaN: NaN, +-inf: NaN, +-0: 1.
ACTSERVE_MATH float actserve_cos_f32(float x) {
  using namespace actserve::f32;
  const Angle angle = ReduceAngle(Wide(x));
  return SinOfAngle(angle.r, angle.turns + 1.0f);
}

// tan(x), a quotient of Taylor series in double. All floats, huge ones
// included.
// Largest error 0.51 ulp.
// NaN: NaN, +-inf: NaN, +-0: +-0.
ACTSERVE_MATH float actserve_tan_f32(float x) {
  using namespace actserve::f32;
  const Angle angle = ReduceAngle(Wide(x));
  const double r = angle.r;
  const double z = r * r;
  double p = -1.0 / 39916800.0;
  p = WideFma(p, z, 1.0 / 362880.0);
  p = WideFma(p, z, -1.0 / 5040.0);
  p = WideFma(p, z, 1.0 / 120.0);
  p = WideFma(p, z, -1.0 / 6.0);
  const double sine = WideFma(r * z, p, r);
  double q = -1.0 / 3628800.0;
  q = WideFma(q, z, 1.0 / 40320.0);
  q = WideFma(q, z, -1.0 / 720.0);
  q = WideFma(q, z, 1.0 / 24.0);
  q = WideFma(q, z, -1.0 / 2.0);
  const double cosine = WideFma(q, z, 1.0);
  const bool odd = (ToBits(angle.turns + kRound) & 1) != 0;
  const double value = (odd ? -cosine : sine) / (odd ? sine : cosine);
  return x == 0.0f ? x : Narrow(value);
}

// asin(x): pi/2 - 2 asin(sqrt((1 - |x|)/2)) above 1/2, in double. |x| <= 1.
// Largest error 0.51 ulp.
// NaN: NaN, |x| > 1: NaN, +-0: +-0.
ACTSERVE_MATH float actserve_asin_f32(float x) {
  using namespace actserve::f32;
  const double a = Wide(Abs(x));
  const bool large = a > 0.5;
  const double z = large ? 0.5 - 0.5 * a : a * a;
  const double series = WideAsinSeries(large ? __builtin_sqrt(z) : a, z);
  return CopySign(Narrow(large ? kPi / 2.0 - 2.0 * series : series), x);
}

// acos(x) = pi/2 - asin(x), without the subtraction above 1/2. |x| <= 1.
// Largest error 0.51 ulp.
// NaN: NaN, |x| > 1: NaN, 1: +0.
ACTSERVE_MATH float actserve_acos_f32(float x) {
  using namespace actserve::f32;
  const double a = Wide(Abs(x));
  const bool large = a > 0.5;
  const double z = large ? 0.5 - 0.5 * a : a * a;
  const double series = WideAsinSeries(large ? __builtin_sqrt(z) : a, z);
  const double from_end = x < 0.0f ? kPi - 2.0 * series : 2.0 * series;
  const double from_middle = kPi / 2.0 + (x < 0.0f ? series : -series);
  return Narrow(large ? from_end : from_middle);
}

// atan(x), in double. All floats.
// Largest error 0.51 ulp.
// NaN: NaN, +-inf: +-pi/2, +-0: +-0.
ACTSERVE_MATH float actserve_atan_f32(float x) {
  using namespace actserve::f32;
  return CopySign(Narrow(WideAtan(Wide(Abs(x)), 1.0)), x);
}

// The angle of the point (x, y), in double; C's table for zeros and infinities.
// All pairs of floats.
// Largest error 0.51 ulp.
// NaN where either is NaN.
ACTSERVE_MATH float actserve_atan2_f32(float y, float x) {
  using namespace actserve::f32;
  const float a = Abs(y);
  const float b = Abs(x);
  const bool both_infinite = a == kInfinity && b == kInfinity;
  const double rise = Wide(both_infinite ? 1.0f : a);
  // 0/0 is the angle 0 here, and 1/1 that of two infinities.
  const double run = Wide(both_infinite || a == 0.0f ? 1.0f : b);
  const double first_quadrant = WideAtan(rise, run);
  const bool left = (ToBits(x) >> 31) != 0;
  const double half_plane = left ? kPi - first_quadrant : first_quadrant;
  const float value = CopySign(Narrow(half_plane), y);
  return x != x ? x : value;
}

#endif  // ACTSERVE_KERNELS_MATH_F32_TRIG_H_
