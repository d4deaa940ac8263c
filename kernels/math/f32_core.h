// Shared by the float functions: bits, fma, and exp with its scaling.
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
constexpr float kMaxFinite = 0x1.fffffep127f;
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

// exp(x) 2^k in two factors, power (1 + t): a caller that multiplies or adds
// more spends its own rounding on it, not one of exp's.
struct ExpFactors {
  float power;
  float t;
};

// (exp(r) - 1 - r) / r^2 for |r| <= log(2)/2, within 2^-28.2 of exp(r)
// ("exp").
ACTSERVE_MATH_INTERNAL float ExpPolynomial(float r) {
  float p = 0x1.6a4ed2p-10f;
  p = Fma(p, r, 0x1.12399cp-7f);
  p = Fma(p, r, 0x1.5558bp-5f);
  p = Fma(p, r, 0x1.555492p-3f);
  return Fma(p, r, 0x1.fffffcp-2f);
}

// exp(high - low) - 1, |high - low| <= log(2)/2, for `low` so small that
// high - low loses its bits; this does not.
ACTSERVE_MATH_INTERNAL float ExpTail(float high, float low) {
  const float r = high - low;
  return high + Fma(r * r, ExpPolynomial(r), -low);
}

// exp(x) 2^k. The caller has clamped x so that the power is a normal number
// (k is there to make it one); a NaN stays.
ACTSERVE_MATH_INTERNAL ExpFactors FactorExp(float x, float k) {
  const float bias = kRound + 127.0f + k;
  const float shifted = Fma(x, kLog2E, bias);
  const float n = shifted - bias;
  const float r = Fma(n, -kLn2Low, Fma(n, -kLn2High, x));
  return {FromBits(ToBits(shifted) << 23), Fma(r * r, ExpPolynomial(r), r)};
}

// exp(-(x + low)) 2^k, for a `low` far below x: the exponent in two words,
// since its rounding error alone would become x ulp of the result.
ACTSERVE_MATH_INTERNAL ExpFactors FactorExpMinus(float x, float low, float k) {
  const float bias = kRound + 127.0f + k;
  const float shifted = Fma(x, -kLog2E, bias);
  const float n = shifted - bias;
  const float tail = ExpTail(Fma(n, -kLn2High, -x), Fma(n, kLn2Low, low));
  return {FromBits(ToBits(shifted) << 23), tail};
}

// exp(x) 2^k times y, or plus y: one rounding after that of t.
ACTSERVE_MATH_INTERNAL float TimesExp(float y, ExpFactors exp) {
  return Fma(y, exp.t, y) * exp.power;
}
ACTSERVE_MATH_INTERNAL float PlusExp(float y, ExpFactors exp) {
  return Fma(exp.power, exp.t, exp.power + y);
}
ACTSERVE_MATH_INTERNAL float ExpTimesPow2(float x, float k) {
  const ExpFactors exp = FactorExp(x, k);
  return Fma(exp.power, exp.t, exp.power);
}

}  // namespace actserve::f32

#endif  // ACTSERVE_KERNELS_MATH_F32_CORE_H_
