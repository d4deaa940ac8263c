// What the float functions share: bits, fma, and exp with its scaling.
//
// Polynomials are minimax, their coefficients rounded to float one by one
// (tools/fit.py prints each under the name given here). Internal to
// kernels/math.

#ifndef ACTSERVE_KERNELS_MATH_F32_CORE_H_
#define ACTSERVE_KERNELS_MATH_F32_CORE_H_

#include "kernels/math/macros.h"

namespace actserve::f32 {

using Bits = unsigned int;

constexpr float kInfinity = __builtin_huge_valf();
constexpr float kNaN = __builtin_nanf("");
constexpr float kLog2E = 0x1.715476p+0f;
// log(2) in two parts; the first has 20 bits, so that its product with an
// exponent is exact.
constexpr float kLn2High = 0x1.62e43p-1f;
constexpr float kLn2Low = -0x1.05c61p-29f;
// Adding it rounds to an integer, which then stands in the low bits.
constexpr float kRound = 0x1.8p23f;

ACTSERVE_MATH_INTERNAL float Fma(float a, float b, float c) {
  return __builtin_fmaf(a, b, c);
}
ACTSERVE_MATH_INTERNAL Bits ToBits(float x) {
  return __builtin_bit_cast(Bits, x);
}
ACTSERVE_MATH_INTERNAL float FromBits(Bits bits) {
  return __builtin_bit_cast(float, bits);
}
ACTSERVE_MATH_INTERNAL float Abs(float x) { return __builtin_fabsf(x); }
ACTSERVE_MATH_INTERNAL float CopySign(float magnitude, float sign) {
  return __builtin_copysignf(magnitude, sign);
}
// Keep a NaN in `x`.
ACTSERVE_MATH_INTERNAL float AtLeast(float x, float low) {
  return x < low ? low : x;
}
ACTSERVE_MATH_INTERNAL float AtMost(float x, float high) {
  return x > high ? high : x;
}

// exp(r) for |r| <= log(2)/2, relative error 2^-28.2 ("exp").
ACTSERVE_MATH_INTERNAL float ExpPolynomial(float r) {
  float p = 0x1.6a4ed2p-10f;
  p = Fma(p, r, 0x1.12399cp-7f);
  p = Fma(p, r, 0x1.5558bp-5f);
  p = Fma(p, r, 0x1.555492p-3f);
  p = Fma(p, r, 0x1.fffffcp-2f);
  p = Fma(p, r, 1.0f);
  return Fma(p, r, 1.0f);
}

// exp(x) 2^k. The caller has clamped x so that the result is a normal number
// (k is there to make it one); a NaN stays.
ACTSERVE_MATH_INTERNAL float ExpTimesPow2(float x, float k) {
  const float bias = kRound + 127.0f + k;
  const float shifted = Fma(x, kLog2E, bias);
  const float n = shifted - bias;
  const float r = Fma(n, -kLn2Low, Fma(n, -kLn2High, x));
  return ExpPolynomial(r) * FromBits(ToBits(shifted) << 23);
}

// exp(-(x + low)) 2^k, for |low| below an ulp of x: the exponent in two words,
// since its rounding error alone would become x ulp of the result.
ACTSERVE_MATH_INTERNAL float ExpMinusTimesPow2(float x, float low, float k) {
  const float bias = kRound + 127.0f + k;
  const float shifted = Fma(x, -kLog2E, bias);
  const float n = shifted - bias;
  const float r = Fma(n, -kLn2High, -x) - low;
  return ExpPolynomial(Fma(n, -kLn2Low, r)) * FromBits(ToBits(shifted) << 23);
}

}  // namespace actserve::f32

#endif  // ACTSERVE_KERNELS_MATH_F32_CORE_H_
