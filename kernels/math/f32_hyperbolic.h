// float: the hyperbolic functions; all but tanh and its relatives in double.

#ifndef ACTSERVE_KERNELS_MATH_F32_HYPERBOLIC_H_
#define ACTSERVE_KERNELS_MATH_F32_HYPERBOLIC_H_

#include "kernels/math/f32_core.h"
#include "kernels/math/f32_logistic.h"
#include "kernels/math/f32_wide.h"
#include "kernels/math/macros.h"

namespace actserve::f32 {

// 1 - tanh(a) = 2 / (exp(2a) + 1) for 0 <= a.
ACTSERVE_MATH_INTERNAL float TanhComplement(float a) {
  return 2.0f / PlusExp(1.0f, FactorExp(2.0f * AtMost(a, 12.0f), 0.0f));
}

}  // namespace actserve::f32

// tanh(x): an odd polynomial below 0.9, 1 - 2 / (exp(2x) + 1) above. All
// floats.
// Largest error 0.98 ulp.
// NaN: NaN, +-inf: +-1, +-0: +-0.
ACTSERVE_MATH float actserve_tanh_f32(float x) {
  using namespace actserve::f32;
  const float a = Abs(x);
  const float z = a * a;
  float p = -0x1.ddd836p-12f;  // "tanh": (tanh(x) - x) / x^3 in x^2
  p = Fma(p, z, 0x1.529d4cp-9f);
  p = Fma(p, z, -0x1.0ed7a8p-7f);
  p = Fma(p, z, 0x1.62f1cap-6f);
  p = Fma(p, z, -0x1.b9ca4ep-5f);
  p = Fma(p, z, 0x1.110f38p-3f);
  p = Fma(p, z, -0x1.55554ep-2f);
  const float small = Fma(a * z, p, a);
  const float large = 1.0f - TanhComplement(a);
  return CopySign(a < 0.9f ? small : large, x);
}

// x - tanh(x): x^3 times a polynomial below 1, (x - 1) + 2 / (exp(2x) + 1)
// above. All floats.
// Largest error 1.88 ulp.
// NaN: NaN, +-inf: +-inf, +-0: +-0.
ACTSERVE_MATH float actserve_tanhshrink_f32(float x) {
  using namespace actserve::f32;
  const float a = Abs(x);
  const float z = a * a;
  // "tanhshrink": ((x - tanh(x)) / x^3 - 1/3) / x^2 in x^2.
  float p = -0x1.2fe056p-13f;
  p = Fma(p, z, 0x1.e85286p-11f);
  p = Fma(p, z, -0x1.a5dff4p-9f);
  p = Fma(p, z, 0x1.1d4ea4p-7f);
  p = Fma(p, z, -0x1.65b738p-6f);
  p = Fma(p, z, 0x1.ba1318p-5f);
  p = Fma(p, z, -0x1.1110fcp-3f);
  // 1/3 in two parts.
  p = 0x1.555556p-2f + Fma(p, z, -0x1.555556p-27f);
  // x^3 times 2^30: its low word is a float even where it is subnormal.
  const float scaled = a * 0x1p30f;
  const float cube = scaled * z;
  const float cube_low = Fma(scaled, Fma(a, a, -z), Fma(scaled, z, -cube));
  const float small = Fma(cube, p, cube_low * p) * 0x1p-30f;
  const float large = (a - 1.0f) + TanhComplement(a);
  return CopySign(a < 1.0f ? small : large, x);
}

// tanh'(x) = 1 - tanh(x)^2 = 4 s'(2x). All floats.
// Largest error 2.38 ulp.
// NaN: NaN, +-inf: +0.
ACTSERVE_MATH float actserve_sech2_f32(float x) {
  using namespace actserve::f32;
  const float q = ExpTimesPow2(-2.0f * AtMost(Abs(x), 55.0f), 64.0f);
  return q / OnePlusSquared(q * 0x1p-64f) * 0x1p-62f;
}

// sinh(x), from the two halves of exp(r), x = n log(2) + r. All floats;
// overflow gives an infinity.
// Largest error 0.51 ulp.
// NaN: NaN, +-inf: +-inf, +-0: +-0.
ACTSERVE_MATH float actserve_sinh_f32(float x) {
  using namespace actserve::f32;
  const float a = AtMost(Abs(x), 100.0f);
  const WideExpArgument argument = ReduceWideExp(Wide(a));
  const double sum = argument.power + argument.inverse;
  const double difference = argument.power - argument.inverse;
  const double twice = WideFma(WideSinhSeries(argument.r), sum,
                               WideCoshSeries(argument.r) * difference);
  return CopySign(Narrow(0.5 * twice), x);
}

// cosh(x), from the two halves of exp(r), x = n log(2) + r. All floats;
// overflow gives +inf.
// Largest error 0.51 ulp.
// NaN: NaN, +-inf: +inf.
ACTSERVE_MATH float actserve_cosh_f32(float x) {
  using namespace actserve::f32;
  const float a = AtMost(Abs(x), 100.0f);
  const WideExpArgument argument = ReduceWideExp(Wide(a));
  const double sum = argument.power + argument.inverse;
  const double difference = argument.power - argument.inverse;
  const double twice = WideFma(WideCoshSeries(argument.r), sum,
                               WideSinhSeries(argument.r) * difference);
  return Narrow(0.5 * twice);
}

// asinh(x) = log1p(a + a^2 / (1 + sqrt(a^2 + 1))), a = |x|. All floats.
// Largest error 0.51 ulp.
// NaN: NaN, +-inf: +-inf, +-0: +-0.
ACTSERVE_MATH float actserve_asinh_f32(float x) {
  using namespace actserve::f32;
  const double a = Wide(Abs(x));
  const double z = a * a;
  const double rest = z / (1.0 + __builtin_sqrt(z + 1.0));
  const float value = Narrow(WideLog1p(a + rest));
  return CopySign(Abs(x) < kInfinity ? value : Abs(x), x);
}

// acosh(x) = log1p(t + sqrt(t (t + 2))), t = x - 1. x >= 1.
// Largest error 0.51 ulp.
// NaN: NaN, +inf: +inf, 1: +0, below 1: NaN.
ACTSERVE_MATH float actserve_acosh_f32(float x) {
  using namespace actserve::f32;
  const double t = Wide(x) - 1.0;
  const float value = Narrow(WideLog1p(t + __builtin_sqrt(t * (t + 2.0))));
  return x < 1.0f ? kNaN : value;
}

// atanh(x) = log1p(2a / (1 - a)) / 2, a = |x|. |x| <= 1.
// Largest error 0.51 ulp.
// NaN: NaN, |x| > 1: NaN, +-1: +-inf, +-0: +-0.
ACTSERVE_MATH float actserve_atanh_f32(float x) {
  using namespace actserve::f32;
  const double a = Wide(Abs(x));
  return CopySign(Narrow(0.5 * WideLog1p(2.0 * a / (1.0 - a))), x);
}

#endif  // ACTSERVE_KERNELS_MATH_F32_HYPERBOLIC_H_
