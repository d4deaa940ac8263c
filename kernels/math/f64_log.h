// double: log and its relatives.

#ifndef ACTSERVE_KERNELS_MATH_F64_LOG_H_
#define ACTSERVE_KERNELS_MATH_F64_LOG_H_

#include "kernels/math/f64_core.h"
#include "kernels/math/macros.h"

namespace actserve::f64 {

// A logarithm's `value` for 0 < x < +inf, and its values everywhere else.
ACTSERVE_MATH_INTERNAL double LogOrSpecial(double x, double value) {
  const double beyond = x == 0.0 ? -kInfinity : kNaN;
  const double inside = Select(x < kInfinity, value, kInfinity);
  return Select(x > 0.0, inside, beyond);
}

// A positive subnormal times 2^54, and the exponent that this added.
struct Normalized {
  double x;
  double exponent;
};
ACTSERVE_MATH_INTERNAL Normalized NormalOf(double x) {
  const bool tiny = x < 0x1p-1022;
  return {Select(tiny, x * 0x1p54, x), tiny ? -54.0 : 0.0};
}

}  // namespace actserve::f64

// log(x), natural. NaN and x < 0: NaN, +inf: +inf, +-0: -inf; log(1) = +0.
// 0.60 ulp.
ACTSERVE_MATH double actserve_log_f64(double x) {
  using namespace actserve::f64;
  const Normalized normal = NormalOf(x);
  const Mantissa parts = MantissaOf(normal.x);
  const Pair log = AddLn2(parts.n + normal.exponent, LogReduced(parts.m).value);
  return LogOrSpecial(x, log.hi + log.lo);
}

// log2(x), specials as log; exact where x is a power of 2. 0.68 ulp.
ACTSERVE_MATH double actserve_log2_f64(double x) {
  using namespace actserve::f64;
  const Normalized normal = NormalOf(x);
  const Mantissa parts = MantissaOf(normal.x);
  const Pair log = Multiply(kLog2E, LogReduced(parts.m).value);
  const Pair sum = FastTwoSum(parts.n + normal.exponent, log.hi);
  return LogOrSpecial(x, sum.hi + (sum.lo + log.lo));
}

// log10(x), specials as log. 0.62 ulp.
ACTSERVE_MATH double actserve_log10_f64(double x) {
  using namespace actserve::f64;
  const Pair log10_e = {0x1.bcb7b1526e50ep-2, 0x1.95355baaafad3p-57};
  const Normalized normal = NormalOf(x);
  const Mantissa parts = MantissaOf(normal.x);
  const double n = parts.n + normal.exponent;
  const Pair log = Multiply(log10_e, LogReduced(parts.m).value);
  // The constant has 40 bits of log10(2), so its product with n is exact.
  const Pair sum = FastTwoSum(n * 0x1.34413509f8p-2, log.hi);
  const double low = Fma(n, -0x1.80433b83b532ap-44, log.lo);
  return LogOrSpecial(x, sum.hi + (sum.lo + low));
}

// log(1 + x). NaN and x < -1: NaN, +inf: +inf, -1: -inf, +-0: +-0. 0.86 ulp.
ACTSERVE_MATH double actserve_log1p_f64(double x) {
  using namespace actserve::f64;
  const Pair sum = TwoSum(1.0, x);
  const Pair log = LogOf(sum);
  const double value = LogOrSpecial(sum.hi, log.hi + log.lo);
  return Select(Abs(x) < 0x1p-54, x, value);
}

#endif  // ACTSERVE_KERNELS_MATH_F64_LOG_H_
