// float: random numbers.

#ifndef ACTSERVE_KERNELS_MATH_F32_DRAW_H_
#define ACTSERVE_KERNELS_MATH_F32_DRAW_H_

#include "kernels/math/f32_core.h"
#include "kernels/math/f32_log.h"
#include "kernels/math/f32_trig.h"
#include "kernels/math/macros.h"
#include "kernels/math/philox.h"

// A multiple of 2^-24 in [0, 1), all equally likely: the 24 high bits of word
// 0. It is the number of float64 rounded down. Exact.
ACTSERVE_MATH float actserve_uniform_f32(unsigned long long seed,
                                         unsigned stream,
                                         unsigned long long element) {
  using namespace actserve::philox;
  const Words words = Draw(seed, stream, kUniform, element);
  return static_cast<float>(static_cast<int>(words.w0 >> 8)) * 0x1p-24f;
}

// Box and Muller's sqrt(-2 log(u)) cos(2 pi v): u in (0, 1] from 31 bits of
// word 0, v in [0, 1) from word 2. At most 6.67 in magnitude, never NaN.
// Largest error 4 ulp.
ACTSERVE_MATH float actserve_normal_f32(unsigned long long seed,
                                        unsigned stream,
                                        unsigned long long element) {
  using namespace actserve::philox;
  using namespace actserve::f32;
  const Words words = Draw(seed, stream, kNormal, element);
  const float u =
      (static_cast<float>(static_cast<int>(words.w0 >> 1)) + 0.5f) * 0x1p-31f;
  // v as quarters of a turn and a rest of at most an eighth.
  const Bits32 quarter = (words.w2 + 0x20000000u) >> 30;
  const int rest = static_cast<int>(words.w2 - (quarter << 30));
  const float angle = static_cast<float>(rest) * 0x1.921fb6p-30f;
  return __builtin_sqrtf(-2.0f * actserve_log_f32(u)) *
         SinOfParts(angle, 0.0f, quarter + 1);
}

#endif  // ACTSERVE_KERNELS_MATH_F32_DRAW_H_
