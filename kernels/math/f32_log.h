// float: log and log1p.

#ifndef ACTSERVE_KERNELS_MATH_F32_LOG_H_
#define ACTSERVE_KERNELS_MATH_F32_LOG_H_

#include "kernels/math/f32_core.h"
#include "kernels/math/macros.h"

namespace actserve::f32 {

constexpr Bits kSqrtHalfBits = 0x3f3504f3;

// log(1 + f) - f for sqrt(1/2) <= 1 + f <= sqrt(2).
ACTSERVE_MATH_INTERNAL float LogTail(float f) {
  float p = -0x1.38c91p-4f;  // "log": (log(1+f) - f + f^2/2) / f^3
  p = Fma(p, f, 0x1.055e62p-3f);
  p = Fma(p, f, -0x1.0d8232p-3f);
  p = Fma(p, f, 0x1.22d936p-3f);
  p = Fma(p, f, -0x1.54728cp-3f);
  p = Fma(p, f, 0x1.99a01cp-3f);
  p = Fma(p, f, -0x1.000226p-2f);
  p = Fma(p, f, 0x1.555554p-2f);
  p = Fma(p, f, -0.5f);
  return f * f * p;
}

// n log(2) + f + rest, for an integer n and a small rest, rounded about once.
ACTSERVE_MATH_INTERNAL float LogSum(float n, float f, float rest) {
  const float high = Fma(n, kLn2High, f);
  const float low = f - Fma(n, -kLn2High, high);
  return high + (Fma(n, kLn2Low, low) + rest);
}

// The integer n for which 2^-n x lies in [sqrt(1/2), sqrt(2)); x normal.
ACTSERVE_MATH_INTERNAL int LogExponent(float x) {
  return static_cast<int>(ToBits(x) - kSqrtHalfBits) >> 23;
}

}  // namespace actserve::f32

// log(x), after splitting x into 2^n (1 + f). x > 0, subnormals included.
// Largest error 0.93 ulp.
// NaN: NaN, +inf: +inf, +-0: -inf, below 0: NaN.
ACTSERVE_MATH float actserve_log_f32(float x) {
  using namespace actserve::f32;
  const bool subnormal = x < 0x1p-126f;
  const float normal = subnormal ? x * 0x1p23f : x;
  const int exponent = LogExponent(normal);
  const float f =
      FromBits(ToBits(normal) - (static_cast<Bits>(exponent) << 23)) - 1.0f;
  const float n = static_cast<float>(exponent) - (subnormal ? 23.0f : 0.0f);
  const float value = x < kInfinity ? LogSum(n, f, LogTail(f)) : x;
  const float outside = x == 0.0f ? -kInfinity : kNaN;
  return x > 0.0f ? value : outside;
}

// log(1 + x) without rounding 1 + x: x is split as log's argument is. x > -1,
// subnormals included.
// Largest error 0.93 ulp.
// NaN: NaN, +inf: +inf, +-0: +-0, -1: -inf, below -1: NaN.
ACTSERVE_MATH float actserve_log1p_f32(float x) {
  using namespace actserve::f32;
  // 2^-n must be a normal number.
  const bool large = x > 0x1p100f;
  const float near = large ? x * 0x1p-64f : x;
  const int exponent = LogExponent(1.0f + near);
  const float scale = FromBits(static_cast<Bits>(127 - exponent) << 23);
  const float f = Fma(near, scale, scale - 1.0f);
  const float n = static_cast<float>(exponent) + (large ? 64.0f : 0.0f);
  // The rounding error of f, weighted by 1 / (1 + f), about 1 - f.
  const float lost = Fma(near, scale, (scale - 1.0f) - f);
  const float rest = Fma(lost, -f, lost) + LogTail(f);
  const float value = x < kInfinity ? LogSum(n, f, rest) : x;
  const float outside = x == -1.0f ? -kInfinity : kNaN;
  const float result = x > -1.0f ? value : outside;
  return Abs(x) < 0x1p-26f ? x : result;
}

#endif  // ACTSERVE_KERNELS_MATH_F32_LOG_H_
