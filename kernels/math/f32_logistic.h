// float: the logistic function s(x) = 1/(1+exp(-x)) and what is made of it.
//
// Two scalings recur. exp(-x) 2^-32 is finite as far as s(x) is not 0, and
// exp(-|x|) 2^64 is normal there: with one of them in the middle and a power
// of two at the end, a subnormal result is rounded once and nothing before it
// loses bits.

#ifndef ACTSERVE_KERNELS_MATH_F32_LOGISTIC_H_
#define ACTSERVE_KERNELS_MATH_F32_LOGISTIC_H_

#include "kernels/math/f32_core.h"
#include "kernels/math/macros.h"

// s(x) = 2^-32 / (2^-32 + exp(-x) 2^-32). All floats.
// Largest error 2.45 ulp.
// NaN: NaN, +inf: 1, -inf: +0.
ACTSERVE_MATH float actserve_sigmoid_f32(float x) {
  using namespace actserve::f32;
  const float clamped = AtMost(AtLeast(x, -105.0f), 40.0f);
  return 0x1p-32f / PlusExp(0x1p-32f, FactorExp(-clamped, -32.0f));
}

namespace actserve::f32 {

// (1 + q)^2 for 0 <= q <= 1, rounded about once.
ACTSERVE_MATH_INTERNAL float OnePlusSquared(float q) {
  return Fma(q, q + 2.0f, 1.0f);
}

}  // namespace actserve::f32

// s'(x) = q / (1 + q)^2, q = exp(-|x|). All floats.
// Largest error 2.38 ulp.
// NaN: NaN, +-inf: +0.
ACTSERVE_MATH float actserve_sigmoid_grad_f32(float x) {
  using namespace actserve::f32;
  const float q = ExpTimesPow2(-AtMost(Abs(x), 110.0f), 64.0f);
  return q / OnePlusSquared(q * 0x1p-64f) * 0x1p-64f;
}

// log(1 + exp(x)) = max(x, 0) + log1p(q), q = exp(-|x|); log1p(q) / q is one
// polynomial over [0, 1]. All floats.
// Largest error 2.22 ulp.
// NaN: NaN, +inf: +inf, -inf: +0.
ACTSERVE_MATH float actserve_softplus_f32(float x) {
  using namespace actserve::f32;
  const float scaled = ExpTimesPow2(-AtMost(Abs(x), 110.0f), 64.0f);
  const float q = scaled * 0x1p-64f;
  float p = -0x1.af49cep-9f;  // "softplus"
  p = Fma(p, q, 0x1.4917cep-6f);
  p = Fma(p, q, -0x1.d6b08cp-5f);
  p = Fma(p, q, 0x1.b4ae08p-4f);
  p = Fma(p, q, -0x1.3a435ep-3f);
  p = Fma(p, q, 0x1.934b54p-3f);
  p = Fma(p, q, -0x1.ff23e6p-3f);
  p = Fma(p, q, 0x1.554ddp-2f);
  p = Fma(p, q, -0x1.ffffd2p-2f);
  p = Fma(p, q, 1.0f);
  return AtLeast(x, 0.0f) + scaled * p * 0x1p-64f;
}

// log(s(x)) = -log(1 + exp(-x)). All floats.
// Largest error 2.22 ulp.
// NaN: NaN, +inf: -0, -inf: -inf.
ACTSERVE_MATH float actserve_logsigmoid_f32(float x) {
  return -actserve_softplus_f32(-x);
}

// x s(x) = x / (1 + exp(-x)), scaled as s(x) is; x itself where exp(-x) is
// below half an ulp of 1. All floats.
// Largest error 2.45 ulp.
// NaN: NaN, +inf: +inf, -inf: -0, +-0: +-0.
ACTSERVE_MATH float actserve_silu_f32(float x) {
  using namespace actserve::f32;
  const float clamped = AtLeast(x, -110.0f);
  const float divisor = PlusExp(0x1p-32f, FactorExp(-clamped, -32.0f));
  const float scaled = clamped / divisor * 0x1p-32f;
  return x > 18.0f ? x : scaled;
}

namespace actserve::f32 {

// The derivative of x s(v(x)) for odd v, from q = exp(-v(|x|)) and numerator =
// q (1 + q - |x| v'(|x|)) 2^64: numerator / (1 + q)^2 on the negative side, 1
// less that on the positive.
ACTSERVE_MATH_INTERNAL float GatedGrad(float x, float numerator, float q) {
  const float negative = numerator / OnePlusSquared(q) * 0x1p-64f;
  return x < 0.0f ? negative : 1.0f - negative;
}

}  // namespace actserve::f32

// d/dx x s(x). All floats; root at -1.278.
// Largest error 2.86 ulp.
// NaN: NaN, +inf: 1, -inf: -0, +-0: 1/2.
ACTSERVE_MATH float actserve_silu_grad_f32(float x) {
  using namespace actserve::f32;
  const float a = AtMost(Abs(x), 110.0f);
  const ExpFactors exp = FactorExp(-a, 64.0f);
  const float q = TimesExp(0x1p-64f, exp);
  return GatedGrad(x, TimesExp((q + 1.0f) - a, exp), q);
}

namespace actserve::f32 {

// a b in two words; one beyond `end` stays there.
struct ProductWithin {
  float high;
  float low;
};
ACTSERVE_MATH_INTERNAL ProductWithin MultiplyWithin(float a, float b,
                                                    float end) {
  const float product = a * b;
  const float high = AtMost(AtLeast(product, -end), end);
  const float low = Fma(a, b, -product);
  return {high, high == product ? low : 0.0f};
}

}  // namespace actserve::f32

// x s(b x) = x q / (1 + q) where b x < 0 and x / (1 + q) elsewhere, q =
// exp(-|b x|). Where q underflows but x q does not, x and
// q are scaled, and 1 + q is 1. All floats.
// Largest error 2.02 ulp in the sample of its test.
// NaN in one, 0 * inf: NaN; b x = +inf: x, b x = -inf: 0 with the sign of x.
ACTSERVE_MATH float actserve_scaled_silu_f32(float x, float b) {
  using namespace actserve::f32;
  const ProductWithin v = MultiplyWithin(x, b, 210.0f);
  const float a = Abs(v.high);
  const bool left = v.high < 0.0f;
  const bool far = a > 86.0f;
  const ExpFactors exp =
      FactorExpMinus(a, left ? -v.low : v.low, far ? 180.0f : 0.0f);
  const float q = far ? 0.0f : TimesExp(1.0f, exp);
  const float finite = AtMost(AtLeast(x, -kMaxFinite), kMaxFinite);
  const float factor = far ? finite * 0x1p-64f : finite;
  const float quotient = (left ? TimesExp(factor, exp) : x) / (1.0f + q);
  return left && far ? quotient * 0x1p-116f : quotient;
}

// d/dx x s(b x), which depends on v = b x alone: silu'(v). All floats; root at
// v = -1.278.
// Largest error 2.49 ulp in the sample of its test.
// NaN in one, 0 * inf: NaN; v = +inf: 1, v = -inf: -0, v = 0: 1/2.
ACTSERVE_MATH float actserve_scaled_silu_grad_f32(float x, float b) {
  using namespace actserve::f32;
  const ProductWithin v = MultiplyWithin(x, b, 110.0f);
  const float a = Abs(v.high);
  const ExpFactors exp =
      FactorExpMinus(a, v.high < 0.0f ? -v.low : v.low, 64.0f);
  const float q = TimesExp(0x1p-64f, exp);
  return GatedGrad(v.high, TimesExp((q + 1.0f) - a, exp), q);
}

// x tanh(log(1 + exp(x))) = x n / (n + 2), n = e (e + 2), e = exp(x); x itself
// where 2/n is below half an ulp of 1. All floats.
// Largest error 3.93 ulp.
// NaN: NaN, +inf: +inf, -inf: -0, +-0: +-0.
ACTSERVE_MATH float actserve_mish_f32(float x) {
  using namespace actserve::f32;
  const float clamped = AtLeast(x, -109.0f);
  const ExpFactors exp = FactorExp(clamped, 32.0f);
  const float e = TimesExp(0x1p-32f, exp);
  const float e2 = e + 2.0f;
  const float gate = TimesExp(e2, exp) / Fma(e, e2, 2.0f);
  return x > 12.0f ? x : clamped * gate * 0x1p-32f;
}

// mish'(x) = e ((e + 2) m + 4x (e + 1)) / m^2 for x < 0, and
// 1 + (4x e (e + 1) - 2m) / m^2 above; m = n + 2, n = e (e + 2), e = exp(x).
// All floats; root at -1.192.
// Largest error 3.92 ulp.
// NaN: NaN, +inf: 1, -inf: -0, +-0: 0.6.
ACTSERVE_MATH float actserve_mish_grad_f32(float x) {
  using namespace actserve::f32;
  const float clamped = AtLeast(x, -109.0f);
  // FactorExpMinus is the more accurate one.
  const ExpFactors exp = FactorExpMinus(-clamped, 0.0f, 32.0f);
  const float e = TimesExp(0x1p-32f, exp);
  const float n = Fma(e, e, e + e);
  const float m = n + 2.0f;
  const float x4 = 4.0f * clamped;
  const float negative = TimesExp(Fma(x4, e + 1.0f, (e + 2.0f) * m), exp);
  const float positive = Fma(x4, Fma(e, e, e), -2.0f * m);
  const float numerator = x < 0.0f ? negative : positive;
  const float quotient = numerator / Fma(n, n + 4.0f, 4.0f);
  const float value = x < 0.0f ? quotient * 0x1p-32f : quotient + 1.0f;
  return x > 12.0f ? 1.0f : value;
}

#endif  // ACTSERVE_KERNELS_MATH_F32_LOGISTIC_H_
