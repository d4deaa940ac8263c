// double: random numbers.

#ifndef ACTSERVE_KERNELS_MATH_F64_DRAW_H_
#define ACTSERVE_KERNELS_MATH_F64_DRAW_H_

#include "kernels/math/f64_core.h"
#include "kernels/math/f64_log.h"
#include "kernels/math/f64_trig.h"
#include "kernels/math/macros.h"
#include "kernels/math/philox.h"

namespace actserve::f64 {

// The 27 high bits of one word and the 26 high bits of another, as an integer.
ACTSERVE_MATH_INTERNAL double Integer53(philox::Bits32 high,
                                        philox::Bits32 low) {
  return static_cast<double>(static_cast<int>(high >> 5)) * 0x1p26 +
         static_cast<double>(static_cast<int>(low >> 6));
}

}  // namespace actserve::f64

// A multiple of 2^-53 in [0, 1), all equally likely, from words 0 and 1. Exact.
ACTSERVE_MATH double actserve_uniform_f64(unsigned long long seed,
                                          unsigned stream,
                                          unsigned long long element) {
  using namespace actserve::philox;
  const Words words = Draw(seed, stream, kUniform, element);
  return actserve::f64::Integer53(words.w0, words.w1) * 0x1p-53;
}

// As in float, but u from 53 bits of words 0 and 1, v from 53 bits of words 2
// and 3. At most 8.66 in magnitude, never NaN. 3 ulp.
ACTSERVE_MATH double actserve_normal_f64(unsigned long long seed,
                                         unsigned stream,
                                         unsigned long long element) {
  using namespace actserve::philox;
  using namespace actserve::f64;
  const Words words = Draw(seed, stream, kNormal, element);
  const double u = (Integer53(words.w0, words.w1) + 0.5) * 0x1p-53;
  // v as quarters of a turn and a rest of at most an eighth, exactly.
  const Bits32 quarter = (words.w2 + 0x20000000u) >> 30;
  const double high = static_cast<int>(words.w2 - (quarter << 30));
  const double low = static_cast<int>(words.w3 >> 11);
  const Pair half_pi = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54};
  const Pair angle = Multiply(half_pi, high * 0x1p-30 + low * 0x1p-51);
  return Sqrt(-2.0 * actserve_log_f64(u)) * SinAt(angle, quarter + 1);
}

#endif  // ACTSERVE_KERNELS_MATH_F64_DRAW_H_
