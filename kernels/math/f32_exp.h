// float: exp, exp2, expm1, exp(-x^2).

#ifndef ACTSERVE_KERNELS_MATH_F32_EXP_H_
#define ACTSERVE_KERNELS_MATH_F32_EXP_H_

#include "kernels/math/f32_core.h"
#include "kernels/math/macros.h"

// exp(x): 2^n exp(r), |r| <= log(2)/2. All floats; overflow gives +inf,
// subnormal results are kept.
// Largest error 0.88 ulp.
// NaN: NaN, +inf: +inf, -inf: +0, +-0: 1.
ACTSERVE_MATH float actserve_exp_f32(float x) {
  using namespace actserve::f32;
  const float clamped = AtMost(AtLeast(x, -104.0f), 89.0f);
  // Twice the exponent bias, for two factors of about half the exponent each.
  const float bias = kRound + 254.0f;
  const float shifted = Fma(clamped, kLog2E, bias);
  const float n = shifted - bias;
  const float tail = ExpTail(Fma(n, -kLn2High, clamped), n * kLn2Low);
  const Bits half = ToBits(shifted) >> 1;
  const Bits rest = ToBits(shifted) - half;
  const float power = FromBits(half << 23);
  return Fma(power, tail, power) * FromBits(rest << 23);
}

// 2^x: 2^n 2^f, |f| <= 1/2; exact for integers. All floats; overflow gives
// +inf, subnormal results are kept.
// Largest error 0.88 ulp.
// NaN: NaN, +inf: +inf, -inf: +0, +-0: 1.
ACTSERVE_MATH float actserve_exp2_f32(float x) {
  using namespace actserve::f32;
  const float clamped = AtMost(AtLeast(x, -151.0f), 129.0f);
  const float bias = kRound + 254.0f;
  const float shifted = clamped + bias;
  const float f = clamped - (shifted - bias);
  float p = 0x1.417858p-13f;  // "exp2"
  p = Fma(p, f, 0x1.5f097cp-10f);
  p = Fma(p, f, 0x1.3b2dd6p-7f);
  p = Fma(p, f, 0x1.c6af7ap-5f);
  p = Fma(p, f, 0x1.ebfbdcp-3f);
  p = Fma(p, f, 0x1.62e43p-1f);
  p = Fma(p, f, 1.0f);
  const Bits half = ToBits(shifted) >> 1;
  const Bits rest = ToBits(shifted) - half;
  return p * FromBits(half << 23) * FromBits(rest << 23);
}

// exp(x) - 1 = 2^n expm1(r) + (2^n - 1), the sum in two words. All floats;
// overflow gives +inf.
// Largest error 0.89 ulp.
// NaN: NaN, +inf: +inf, -inf: -1, +-0: +-0.
ACTSERVE_MATH float actserve_expm1_f32(float x) {
  using namespace actserve::f32;
  const float clamped = AtMost(AtLeast(x, -20.0f), 89.0f);
  // Half the result is computed, so that 2^n is finite for every n.
  const float bias = kRound + 126.0f;
  const float shifted = Fma(clamped, kLog2E, bias);
  const float n = shifted - bias;
  const float exact = Fma(n, -kLn2High, clamped);
  const float low = n * kLn2Low;
  const float r = exact - low;
  float p = 0x1.9e6f5ep-13f;  // "expm1": (expm1(r) - r) / r^2
  p = Fma(p, r, 0x1.6d3a4p-10f);
  p = Fma(p, r, 0x1.1112dap-7f);
  p = Fma(p, r, 0x1.5554f8p-5f);
  p = Fma(p, r, 0x1.555554p-3f);
  p = Fma(p, r, 0.5f);
  const float tail = Fma(r * r, p, -low);
  const float scale = FromBits(ToBits(shifted) << 23);
  const float base = scale - 0.5f;
  const float high = Fma(scale, exact, base);
  const float base_low = (scale - base) - 0.5f;
  const float rest = Fma(scale, exact, base - high) + base_low;
  const float value = 2.0f * (high + Fma(scale, tail, rest));
  // Halving a subnormal would lose its last bit.
  return Abs(x) < 0x1p-26f ? x : value;
}

// exp(-x^2), the square in two words. All floats; subnormal results are kept.
// Largest error 0.88 ulp.
// NaN: NaN, +-inf: +0, +-0: 1.
ACTSERVE_MATH float actserve_exp_minus_square_f32(float x) {
  using namespace actserve::f32;
  const float a = AtMost(Abs(x), 10.5f);
  const float square = a * a;
  const float low = Fma(a, a, -square);
  return TimesExp(1.0f, FactorExpMinus(square, low, 64.0f)) * 0x1p-64f;
}

#endif  // ACTSERVE_KERNELS_MATH_F32_EXP_H_
