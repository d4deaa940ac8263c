// float: the logistic function s(x) = 1/(1+exp(-x)) and what is made of it.

#ifndef ACTSERVE_KERNELS_MATH_F32_LOGISTIC_H_
#define ACTSERVE_KERNELS_MATH_F32_LOGISTIC_H_

#include "kernels/math/f32_core.h"
#include "kernels/math/macros.h"

// s(x) = 2^-32 / (2^-32 + 2^-32 exp(-x)): the scale keeps exp(-x) finite as
// far as s(x) is not 0. s(NaN) = NaN, s(+inf) = 1, s(-inf) = +0.
ACTSERVE_MATH float actserve_sigmoid_f32(float x) {
  using namespace actserve::f32;
  const float clamped = AtMost(AtLeast(x, -105.0f), 40.0f);
  return 0x1p-32f / (0x1p-32f + ExpTimesPow2(-clamped, -32.0f));
}

// x s(x) = x / (1 + exp(-x)), scaled as s(x) is; x itself where exp(-x) is
// below half an ulp of 1. NaN: NaN, +inf: +inf, -inf: -0, +-0: +-0.
ACTSERVE_MATH float actserve_silu_f32(float x) {
  using namespace actserve::f32;
  const float clamped = AtLeast(x, -110.0f);
  const float divisor = 0x1p-32f + ExpTimesPow2(-clamped, -32.0f);
  const float scaled = clamped / divisor * 0x1p-32f;
  return x > 18.0f ? x : scaled;
}

#endif  // ACTSERVE_KERNELS_MATH_F32_LOGISTIC_H_
