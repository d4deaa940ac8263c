// float: the error function, the normal distribution Phi, and gelu.
//
// Everything rests on the upper tail of the normal distribution, 1 - Phi(a) =
// exp(-a^2/2) R(a), with a^2 in two words and R, Mills' ratio over sqrt(2 pi),
// a polynomial in a bounded variable.

#ifndef ACTSERVE_KERNELS_MATH_F32_NORMAL_H_
#define ACTSERVE_KERNELS_MATH_F32_NORMAL_H_

#include "kernels/math/f32_core.h"
#include "kernels/math/f32_logistic.h"
#include "kernels/math/macros.h"

namespace actserve::f32 {

constexpr float kInvSqrt2Pi = 0x1.988454p-2f;

// exp(-a^2/2) 2^64 for 0 <= a <= 15.
ACTSERVE_MATH_INTERNAL ExpFactors FactorNormal(float a) {
  const float half = 0.5f * a;
  const float square = half * a;
  return FactorExpMinus(square, Fma(half, a, -square), 64.0f);
}

// (a + 4) R(a) on [0, 14.6] as a polynomial in t = (a - 4) / (a + 4)
// ("mills").
ACTSERVE_MATH_INTERNAL float MillsPolynomial(float t) {
  float p = -0x1.09024cp-13f;
  p = Fma(p, t, 0x1.a1cc2p-13f);
  p = Fma(p, t, 0x1.9ed022p-10f);
  p = Fma(p, t, -0x1.ce162cp-9f);
  p = Fma(p, t, -0x1.eddb98p-8f);
  p = Fma(p, t, 0x1.eedaaep-5f);
  p = Fma(p, t, -0x1.7dfedap-3f);
  p = Fma(p, t, 0x1.8c6d84p-2f);
  p = Fma(p, t, -0x1.373e3cp-1f);
  return Fma(p, t, 0x1.82b4bcp-1f);
}

// A quotient in two words: the polynomials multiply it, and its rounding would
// be as large as all of theirs.
struct Quotient {
  float high;
  float low;
};

// numerator / (a + pole), of which `high` is the rounded quotient and `inverse`
// about 1 / (a + pole).
ACTSERVE_MATH_INTERNAL Quotient Refine(float numerator, float a, float pole,
                                       float high, float inverse) {
  const float sum = a + pole;
  const float sum_low = a - (sum - pole);
  const float rest = Fma(-high, sum_low, Fma(-high, sum, numerator));
  return {high, rest * inverse};
}

ACTSERVE_MATH_INTERNAL float Times(float y, Quotient quotient) {
  return Fma(y, quotient.high, y * quotient.low);
}

// R(a) for 0 <= a <= 15.
ACTSERVE_MATH_INTERNAL float Mills(float a) {
  const float inverse = 1.0f / (a + 4.0f);
  const float p = MillsPolynomial(Fma(a + a, inverse, -1.0f));
  return Times(p, Refine(1.0f, a, 4.0f, inverse, inverse));
}

}  // namespace actserve::f32

// erf(x): an odd polynomial below 1, 1 - exp(polynomial) above. All floats.
// Largest error 0.99 ulp.
// NaN: NaN, +-inf: +-1, +-0: +-0.
ACTSERVE_MATH float actserve_erf_f32(float x) {
  using namespace actserve::f32;
  const float a = Abs(x);
  const float z = a * a;
  float p = 0x1.4771fep-14f;  // "erf small": erf(x)/x - 1 in x^2
  p = Fma(p, z, -0x1.a3515ep-11f);
  p = Fma(p, z, 0x1.53f224p-8f);
  p = Fma(p, z, -0x1.b7f71ap-6f);
  p = Fma(p, z, 0x1.ce2ce6p-4f);
  p = Fma(p, z, -0x1.81273ep-2f);
  p = Fma(p, z, 0x1.06eba8p-3f);
  const float small = Fma(p, a, a);
  const float t = AtMost(a, 4.0f);
  float q = -0x1.86df9ap-13f;  // "erf large": -log(erfc(x)), in two words
  q = Fma(q, t, 0x1.825b5cp-9f);
  q = Fma(q, t, -0x1.65cb5p-6f);
  q = Fma(q, t, 0x1.a6530ap-4f);
  q = Fma(q, t, 0x1.46baf8p-1f);
  q = Fma(q, t, 0x1.2088e6p+0f);
  const float high = q * t;
  const float low = Fma(q, t, -high) + 0x1.6632fp-12f;
  const float large = 1.0f - TimesExp(1.0f, FactorExpMinus(high, low, 0.0f));
  return CopySign(a < 1.0f ? small : large, x);
}

// erfc(x) = 1 - erf(x): exp(-x^2) times a polynomial for x >= 0, 2 - erfc(-x)
// below. All floats; subnormal results are kept.
// Largest error 3.42 ulp.
// NaN: NaN, +inf: +0, -inf: 2, +-0: 1.
ACTSERVE_MATH float actserve_erfc_f32(float x) {
  using namespace actserve::f32;
  const float a = AtMost(Abs(x), 10.5f);
  const float square = a * a;
  const ExpFactors scaled = FactorExpMinus(square, Fma(a, a, -square), 64.0f);
  const float inverse = 1.0f / (a + 3.0f);
  const float t = Fma(a + a, inverse, -1.0f);
  // "erfcx" on [0, 10.3]: (a + 3) exp(a^2) erfc(a) in t = (a - 3) / (a + 3).
  float p = -0x1.476872p-12f;
  p = Fma(p, t, -0x1.e96806p-12f);
  p = Fma(p, t, 0x1.9246cap-9f);
  p = Fma(p, t, -0x1.45e252p-10f);
  p = Fma(p, t, -0x1.b7b2a2p-6f);
  p = Fma(p, t, 0x1.e99cc8p-4f);
  p = Fma(p, t, -0x1.3deadep-2f);
  p = Fma(p, t, 0x1.2e3256p-1f);
  p = Fma(p, t, -0x1.c44c48p-1f);
  p = Fma(p, t, 0x1.12f21ep+0f);
  const float ratio = Times(p, Refine(1.0f, a, 3.0f, inverse, inverse));
  const float tail = TimesExp(ratio, scaled) * 0x1p-64f;
  return x < 0.0f ? 2.0f - tail : tail;
}

// Phi(x) = erfc(-x/sqrt(2))/2. All floats; subnormal results are kept.
// Largest error 3.98 ulp.
// NaN: NaN, +inf: 1, -inf: +0, +-0: 1/2.
ACTSERVE_MATH float actserve_normcdf_f32(float x) {
  using namespace actserve::f32;
  const float a = AtMost(Abs(x), 15.0f);
  const float tail = TimesExp(Mills(a), FactorNormal(a)) * 0x1p-64f;
  return x < 0.0f ? tail : 1.0f - tail;
}

// Phi'(x) = exp(-x^2/2)/sqrt(2 pi). All floats; subnormal results are kept.
// Largest error 1.19 ulp.
// NaN: NaN, +-inf: +0.
ACTSERVE_MATH float actserve_normpdf_f32(float x) {
  using namespace actserve::f32;
  return TimesExp(kInvSqrt2Pi, FactorNormal(AtMost(Abs(x), 15.0f))) * 0x1p-64f;
}

// x Phi(x): x less the tail for x >= 0, the tail below. All floats.
// Largest error 3.79 ulp.
// NaN: NaN, +inf: +inf, -inf: -0, +-0: +-0.
ACTSERVE_MATH float actserve_gelu_f32(float x) {
  using namespace actserve::f32;
  const float a = AtMost(Abs(x), 15.0f);
  const float ratio = a / (a + 4.0f);
  const float p = MillsPolynomial(Fma(2.0f, ratio, -1.0f));
  const float mills =
      Times(p, Refine(a, a, 4.0f, ratio, Fma(-0.25f, ratio, 0.25f)));
  const float tail = TimesExp(mills, FactorNormal(a)) * 0x1p-64f;
  return x >= 0.0f ? x - tail : -tail;
}

// Phi(x) + x Phi'(x). All floats; root at -0.752.
// Largest error 3.23 ulp.
// NaN: NaN, +inf: 1, -inf: -0, +-0: 1/2.
ACTSERVE_MATH float actserve_gelu_grad_f32(float x) {
  using namespace actserve::f32;
  const float a = AtMost(Abs(x), 15.0f);
  const float negative =
      TimesExp(Fma(a, -kInvSqrt2Pi, Mills(a)), FactorNormal(a)) * 0x1p-64f;
  return x < 0.0f ? negative : 1.0f - negative;
}

namespace actserve::f32 {

// v = 2u = x (c1 + c2 x^2), c1 = 2 sqrt(2/pi), c2 = 0.044715 c1: the argument
// of the logistic function in gelu_tanh.
struct GeluTanhArgument {
  float high;  // v = high + low
  float low;
  float square;  // x^2, rounded
};

// v in two words for |x| <= 11: c1 is cut to 18 bits, so that the sum's
// rounding error can be had exactly.
ACTSERVE_MATH_INTERNAL GeluTanhArgument GeluTanh2U(float x) {
  constexpr float kC1High = 0x1.98848p+0f;
  constexpr float kC1Low = -0x1.6615e4p-19f;
  constexpr float kC2High = 0x1.2444f2p-4f;
  constexpr float kC2Low = 0x1.49b16ap-29f;
  const float square = x * x;
  const float square_low = Fma(x, x, -square);
  const float w = Fma(square, kC2High, kC1High);
  const float w_low = Fma(square, kC2High, kC1High - w) +
                      Fma(square, kC2Low, Fma(square_low, kC2High, kC1Low));
  const float high = x * w;
  return {high, Fma(x, w_low, Fma(x, w, -high)), square};
}

}  // namespace actserve::f32

// x s(2u), u = sqrt(2/pi) (x + 0.044715 x^3), computed as silu is; x itself
// where exp(-2u) is below half an ulp of 1. All floats.
// Largest error 2.60 ulp.
// NaN: NaN, +inf: +inf, -inf: -0, +-0: +-0.
ACTSERVE_MATH float actserve_gelu_tanh_f32(float x) {
  using namespace actserve::f32;
  const float clamped = AtLeast(x, -10.8f);
  const GeluTanhArgument v = GeluTanh2U(clamped);
  const float divisor =
      PlusExp(0x1p-32f, FactorExpMinus(v.high, v.low, -32.0f));
  const float scaled = clamped / divisor * 0x1p-32f;
  return x > 5.5f ? x : scaled;
}

// d/dx x s(2u). All floats; root at -0.752.
// Largest error 3.61 ulp.
// NaN: NaN, +inf: 1, -inf: -0, +-0: 1/2.
ACTSERVE_MATH float actserve_gelu_tanh_grad_f32(float x) {
  using namespace actserve::f32;
  const float a = AtMost(Abs(x), 11.0f);
  const GeluTanhArgument v = GeluTanh2U(a);
  // a v'(a) = v + 2 c2 a^3, in two words.
  const float cubic = v.square * 0x1.2444f2p-3f;
  const float slope = Fma(cubic, a, v.high);
  const float slope_low = Fma(cubic, a, v.high - slope) + v.low;
  const ExpFactors exp = FactorExpMinus(v.high, v.low, 64.0f);
  const float q = TimesExp(0x1p-64f, exp);
  const float factor = (q + 1.0f) - slope;
  const float numerator =
      (factor + Fma(factor, exp.t, -Fma(slope_low, exp.t, slope_low))) *
      exp.power;
  return GatedGrad(x, numerator, q);
}

#endif  // ACTSERVE_KERNELS_MATH_F32_NORMAL_H_
