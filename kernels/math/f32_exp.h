// float: exp and its relatives.

#ifndef ACTSERVE_KERNELS_MATH_F32_EXP_H_
#define ACTSERVE_KERNELS_MATH_F32_EXP_H_

#include "kernels/math/f32_core.h"
#include "kernels/math/macros.h"

// exp(x). All floats; overflow gives +inf, subnormal results are kept.
// exp(NaN) = NaN, exp(+inf) = +inf, exp(-inf) = +0, exp(+-0) = 1.
ACTSERVE_MATH float actserve_exp_f32(float x) {
  using namespace actserve::f32;
  const float clamped = AtMost(AtLeast(x, -104.0f), 89.0f);
  // Twice the exponent bias, for two factors of about half the exponent each.
  const float bias = kRound + 254.0f;
  const float shifted = Fma(clamped, kLog2E, bias);
  const float n = shifted - bias;
  const float r = Fma(n, -kLn2Low, Fma(n, -kLn2High, clamped));
  const Bits half = ToBits(shifted) >> 1;
  const Bits rest = ToBits(shifted) - half;
  return ExpPolynomial(r) * FromBits(half << 23) * FromBits(rest << 23);
}

#endif  // ACTSERVE_KERNELS_MATH_F32_EXP_H_
