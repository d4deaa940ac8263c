// double: remainders.

#ifndef ACTSERVE_KERNELS_MATH_F64_MOD_H_
#define ACTSERVE_KERNELS_MATH_F64_MOD_H_

#include "kernels/math/f64_core.h"
#include "kernels/math/macros.h"

namespace actserve::f64 {

// |x| mod y for finite |x| / y >= 2^53, y > 0: long division on the integer
// mantissas, 11 bits a step. The one loop of kernels/math.
ACTSERVE_MATH_INTERNAL double LongRemainder(double x, double y) {
  const Bits x_bits = ToBits(x) & 0x7fffffffffffffff;
  const Bits y_bits = ToBits(y);
  const Bits hidden = 0x10000000000000;
  const Bits fraction = hidden - 1;
  const int x_exponent = static_cast<int>(x_bits >> 52);
  const bool y_normal = y_bits >= hidden;
  const int y_exponent = y_normal ? static_cast<int>(y_bits >> 52) : 1;
  const Bits divisor = (y_bits & fraction) | (y_normal ? hidden : 0);
  Bits remainder = ((x_bits & fraction) | hidden) % divisor;
  int left = x_exponent - y_exponent;
  while (left > 0) {
    const int step = left < 11 ? left : 11;
    remainder = (remainder << step) % divisor;
    left -= step;
  }
  // remainder 2^(y_exponent - 1075): below y, hence exact.
  const double unit = y_exponent > 52
                          ? FromBits(static_cast<Bits>(y_exponent - 52) << 52)
                          : FromBits(Bits{1} << (y_exponent - 1));
  return static_cast<double>(remainder) * unit;
}

}  // namespace actserve::f64

// C's fmod: x - trunc(x/y) y, exact for every finite pair; the sign is x's.
// NaN where x is infinite, y is 0, or either is NaN; x where y is infinite.
ACTSERVE_MATH double actserve_fmod_f64(double x, double y) {
  using namespace actserve::f64;
  const double a = Abs(x);
  const double b = Abs(y);
  const double quotient = a / b;
  // The quotient is off by at most one, and the fma exact.
  double r = Fma(-Trunc(quotient), b, a);
  r = r < 0.0 ? r + b : r;
  if (quotient >= 0x1p53 && b > 0.0 && a < kInfinity) r = LongRemainder(a, b);
  r = a < b ? a : r;
  return CopySign(r, x);
}

// Python's x % y: the sign of a result that is not 0 is y's, and so is a
// zero's. NaN where x is infinite, y is 0, or either is NaN.
ACTSERVE_MATH double actserve_floormod_f64(double x, double y) {
  using namespace actserve::f64;
  const double r = actserve_fmod_f64(x, y);
  const double moved = (r < 0.0) != (y < 0.0) ? r + y : r;
  return r == 0.0 ? CopySign(0.0, y) : moved;
}

// x % 1, equal to actserve_floormod_f64(x, 1.0) bit for bit and branch-free:
// both round the same real number, x - floor(x), once.
ACTSERVE_MATH double actserve_floormod1_f64(double x) {
  return x - actserve::f64::Floor(x);
}

// Python's x // y: (x - x % y) / y rounded to an integer as Python rounds it.
// Where y is 0, x / y; NaN where x is infinite or either is NaN.
ACTSERVE_MATH double actserve_floordiv_f64(double x, double y) {
  using namespace actserve::f64;
  const double r = actserve_fmod_f64(x, y);
  double quotient = (x - r) / y;
  quotient -= r != 0.0 && (r < 0.0) != (y < 0.0) ? 1.0 : 0.0;
  const double floor = Floor(quotient);
  const double rounded = floor + (quotient - floor > 0.5 ? 1.0 : 0.0);
  const double value = quotient == 0.0 ? CopySign(0.0, x / y) : rounded;
  return y == 0.0 ? x / y : value;
}

#endif  // ACTSERVE_KERNELS_MATH_F64_MOD_H_
