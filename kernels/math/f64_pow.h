// double: pow.

#ifndef ACTSERVE_KERNELS_MATH_F64_POW_H_
#define ACTSERVE_KERNELS_MATH_F64_POW_H_

#include "kernels/math/f64_core.h"
#include "kernels/math/f64_log.h"
#include "kernels/math/macros.h"

namespace actserve::f64 {

// log(x) to 2^-64 of its size, for x > 0: with s = (m-1)/(m+1) in a pair,
// log(m) = 2 (s + s^3/3 + s^5 P(s*s)), the cube in a pair too.
// [minimax.py log_dd]
ACTSERVE_MATH_INTERNAL Pair PreciseLog(double x) {
  const Normalized normal = NormalOf(x);
  const Mantissa parts = MantissaOf(normal.x);
  const double f = parts.m - 1.0;
  const Pair denominator = FastTwoSum(2.0, f);
  const Pair quotient = Divide({f, 0.0}, denominator, 1.0 / denominator.hi);
  const Pair s = FastTwoSum(quotient.hi, quotient.lo);
  const Pair z = Multiply(s, s);
  const Pair third = {0x1.5555555555555p-2, 0x1.5555555555555p-56};
  const Pair cubic = Multiply(Multiply(z, third), s);
  double p = 0x1.be87387e09247p-5;
  p = Fma(p, z.hi, 0x1.ab8fa9ad4a9d6p-5);
  p = Fma(p, z.hi, 0x1.e201e3579c095p-5);
  p = Fma(p, z.hi, 0x1.1110bbb641fd3p-4);
  p = Fma(p, z.hi, 0x1.3b13b252cbb30p-4);
  p = Fma(p, z.hi, 0x1.745d1743a8a72p-4);
  p = Fma(p, z.hi, 0x1.c71c71c71edb4p-4);
  p = Fma(p, z.hi, 0x1.2492492492488p-3);
  p = Fma(p, z.hi, 0x1.999999999999ap-3);
  const Pair head = FastTwoSum(s.hi, cubic.hi);
  const double tail = Fma(s.hi * z.hi * z.hi, p, s.lo + cubic.lo) + head.lo;
  const Pair log_m = FastTwoSum(2.0 * head.hi, 2.0 * tail);
  const Pair sum = AddLn2(parts.n + normal.exponent, log_m);
  return FastTwoSum(sum.hi, sum.lo);
}

}  // namespace actserve::f64

// x^y as C's pow: x^0 and 1^y are 1 even for NaN; a negative x has a real power
// at integers only, NaN elsewhere; 0 and infinities by their limits, with the
// sign of an odd power. Overflow gives +-inf, subnormal results are kept.
// 0.75 ulp.
ACTSERVE_MATH double actserve_pow_f64(double x, double y) {
  using namespace actserve::f64;
  const double a = Abs(x);
  // An exponent beyond 2^70 decides between 0, 1 and infinity as 2^70 does.
  const double power = AtMost(AtLeast(y, -0x1p70), 0x1p70);
  const Pair argument = Multiply(PreciseLog(a), power);
  const bool ends = Abs(argument.hi) > 1400.0;
  const Scaled e = ExpOf(AtMost(AtLeast(argument.hi, -1400.0), 1400.0),
                         ends ? 0.0 : argument.lo);
  double value = Scale(e.value.hi + e.value.lo, e.exponent);
  const double limit = (a > 1.0) == (y > 0.0) ? kInfinity : 0.0;
  const bool at_limit = (a == 0.0) | (a == kInfinity);
  value = Select(at_limit, limit, value);
  const bool integer = Rint(y) == y;
  const bool odd = integer & (Rint(0.5 * y) != 0.5 * y);
  const Bits sign = ToBits(x) & (static_cast<Bits>(odd) << 63);
  value = FromBits(ToBits(value) ^ sign);
  const bool unreal = (x < 0.0) & (a < kInfinity) & !integer;
  const bool is_nan = (x != x) | (y != y) | unreal;
  const bool is_one = (y == 0.0) | (x == 1.0);
  return Select(is_one, 1.0, Select(is_nan, kNaN, value));
}

#endif  // ACTSERVE_KERNELS_MATH_F64_POW_H_
