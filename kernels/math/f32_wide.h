// Parts of float functions that compute in double: exp, log, atan, and the
// reduction of angles, each within 2^-32 or better, so that the one rounding to
// float decides the error.
//
// Double costs twice the instructions of float; the functions that
// activations are made of do without. Internal to kernels/math.

#ifndef ACTSERVE_KERNELS_MATH_F32_WIDE_H_
#define ACTSERVE_KERNELS_MATH_F32_WIDE_H_

#include "kernels/math/macros.h"

namespace actserve::f32 {

using WideBits = unsigned long long;

constexpr double kWideInfinity = __builtin_huge_val();
constexpr double kWideNaN = __builtin_nan("");
constexpr double kPi = 0x1.921fb54442d18p+1;
constexpr double kWideLog2E = 0x1.71547652b82fep+0;
constexpr double kWideLn2 = 0x1.62e42fefa39efp-1;
constexpr double kWideRound = 0x1.8p52;

ACTSERVE_MATH_INTERNAL double WideFma(double a, double b, double c) {
  return __builtin_fma(a, b, c);
}
ACTSERVE_MATH_INTERNAL double Wide(float x) { return static_cast<double>(x); }
ACTSERVE_MATH_INTERNAL float Narrow(double x) { return static_cast<float>(x); }
ACTSERVE_MATH_INTERNAL WideBits ToWideBits(double x) {
  return __builtin_bit_cast(WideBits, x);
}
ACTSERVE_MATH_INTERNAL double FromWideBits(WideBits bits) {
  return __builtin_bit_cast(double, bits);
}

// x = n log(2) + r, |r| <= log(2)/2, and 2^n, for |x| <= 700.
struct WideExpArgument {
  double r;
  double power;    // 2^n
  double inverse;  // 2^-n
};

ACTSERVE_MATH_INTERNAL WideExpArgument ReduceWideExp(double x) {
  const double shifted = WideFma(x, kWideLog2E, kWideRound + 1023.0);
  const double n = shifted - (kWideRound + 1023.0);
  const WideBits bits = ToWideBits(shifted);
  return {WideFma(n, -kWideLn2, x), FromWideBits(bits << 52),
          FromWideBits((2046 - bits) << 52)};
}

// The even and the odd part of exp, cosh(r) and sinh(r), for |r| <= log(2)/2:
// Taylor, the first term dropped below 2^-36 of the sum.
ACTSERVE_MATH_INTERNAL double WideCoshSeries(double r) {
  const double z = r * r;
  double p = 1.0 / 40320.0;
  p = WideFma(p, z, 1.0 / 720.0);
  p = WideFma(p, z, 1.0 / 24.0);
  p = WideFma(p, z, 1.0 / 2.0);
  return WideFma(p, z, 1.0);
}
ACTSERVE_MATH_INTERNAL double WideSinhSeries(double r) {
  const double z = r * r;
  double p = 1.0 / 362880.0;
  p = WideFma(p, z, 1.0 / 5040.0);
  p = WideFma(p, z, 1.0 / 120.0);
  p = WideFma(p, z, 1.0 / 6.0);
  return WideFma(p, z, 1.0) * r;
}

// n log(2) + log(1 + f) for sqrt(1/2) <= 1 + f <= sqrt(2): 2 atanh(f/(2 + f)),
// Taylor, the first term dropped below 2^-44 of the sum.
ACTSERVE_MATH_INTERNAL double WideLogSum(double n, double f) {
  const double s = f / (2.0 + f);
  const double z = s * s;
  double p = 2.0 / 15.0;
  p = WideFma(p, z, 2.0 / 13.0);
  p = WideFma(p, z, 2.0 / 11.0);
  p = WideFma(p, z, 2.0 / 9.0);
  p = WideFma(p, z, 2.0 / 7.0);
  p = WideFma(p, z, 2.0 / 5.0);
  p = WideFma(p, z, 2.0 / 3.0);
  p = WideFma(p, z, 2.0);
  return WideFma(n, kWideLn2, s * p);
}

// The integer n for which 2^-n x lies in [sqrt(1/2), sqrt(2)), with the
// exponent's bias added, in the low bits; x normal and positive.
ACTSERVE_MATH_INTERNAL WideBits WideLogExponent(double x) {
  constexpr WideBits kSqrtHalf = 0x3fe6a09e667f3bcd;
  constexpr WideBits kOne = 0x3ff0000000000000;
  return (ToWideBits(x) + (kOne - kSqrtHalf)) >> 52;
}

// A biased exponent as a number, its bias gone.
ACTSERVE_MATH_INTERNAL double WideExponentValue(WideBits biased) {
  constexpr WideBits kRoundBits = 0x4338000000000000;
  return FromWideBits(biased + kRoundBits) - (kWideRound + 1023.0);
}

// log(x) for what a float can hold, x >= 0; NaN below.
ACTSERVE_MATH_INTERNAL double WideLog(double x) {
  const WideBits biased = WideLogExponent(x);
  const double f = x * FromWideBits((2046 - biased) << 52) - 1.0;
  const double value = WideLogSum(WideExponentValue(biased), f);
  const double finite = x < kWideInfinity ? value : x;
  const double outside = x == 0.0 ? -kWideInfinity : kWideNaN;
  return x > 0.0 ? finite : outside;
}

// log(1 + x) for |x| < 2^900, without rounding 1 + x, and for infinity.
ACTSERVE_MATH_INTERNAL double WideLog1p(double x) {
  const WideBits biased = WideLogExponent(1.0 + x);
  const double scale = FromWideBits((2046 - biased) << 52);
  const double f = WideFma(x, scale, scale - 1.0);
  const double value = WideLogSum(WideExponentValue(biased), f);
  const double finite = x < kWideInfinity ? value : x;
  const double outside = x == -1.0 ? -kWideInfinity : kWideNaN;
  return x > -1.0 ? finite : outside;
}

// atan(y / x) for 0 <= y, 0 <= x, not both 0 nor both infinite: one quotient
// within tan(pi/8), an odd polynomial ("atan") and a multiple of pi/4.
ACTSERVE_MATH_INTERNAL double WideAtan(double y, double x) {
  constexpr double kTanPi8 = 0x1.a827999fcef32p-2;
  const bool above = y > kTanPi8 * x;
  const bool steep = kTanPi8 * y > x;
  const double numerator = steep ? -x : (above ? y - x : y);
  const double denominator = steep ? y : (above ? y + x : x);
  const double offset = steep ? kPi / 2.0 : (above ? kPi / 4.0 : 0.0);
  const double t = numerator / denominator;
  const double z = t * t;
  double p = 0x1.84991af806f27p-5;
  p = WideFma(p, z, -0x1.5b2e1424c455ep-4);
  p = WideFma(p, z, 0x1.c463a269fceafp-4);
  p = WideFma(p, z, -0x1.247ed6db9f3a9p-3);
  p = WideFma(p, z, 0x1.9999188321cbbp-3);
  p = WideFma(p, z, -0x1.555554c5dc7f7p-2);
  return offset + WideFma(t * z, p, t);
}

// asin(s) for 0 <= s <= 1/2 and z = s^2 ("asin").
ACTSERVE_MATH_INTERNAL double WideAsinSeries(double s, double z) {
  double p = 0x1.0d9d6313e546ep-5;
  p = WideFma(p, z, 0x1.0361cf5e2b8fap-9);
  p = WideFma(p, z, 0x1.52455e7e0531fp-6);
  p = WideFma(p, z, 0x1.663f73e823b50p-6);
  p = WideFma(p, z, 0x1.f282166593edfp-6);
  p = WideFma(p, z, 0x1.6db259883fa2dp-5);
  p = WideFma(p, z, 0x1.33334092bfaf2p-4);
  p = WideFma(p, z, 0x1.55555547d1866p-3);
  return WideFma(s * z, p, s);
}

// x as a number of quarter turns and a rest of at most about one eighth.
struct Angle {
  double r;     // in radians
  float turns;  // quarter turns, -6 to 6
};

ACTSERVE_MATH_INTERNAL double WholeTurnsDropped(double x, double part) {
  const double turns = x * part;
  return turns - __builtin_rint(turns);
}

// Any float; NaN for infinities. 1/(2 pi) stands in parts of 29 bits, so that
// the product of each with x is exact and whole turns can be dropped from it;
// seven parts reach below the smallest rest that a float can leave.
//
// Where the rest is small, the quarter turns must cancel before the finer parts
// come in, or those are rounded away: hence the second sum.
ACTSERVE_MATH_INTERNAL Angle ReduceAngle(double x) {
  const double t0 = WholeTurnsDropped(x, 0x1.45f306dp-3);
  const double t1 = WholeTurnsDropped(x, 0x1.9391054p-32);
  const double t2 = WholeTurnsDropped(x, 0x1.4fe13abp-61);
  const double t3 = WholeTurnsDropped(x, 0x1.d1f534dp-90);
  const double t4 = WholeTurnsDropped(x, 0x1.b81b6c5p-119);
  const double t5 = WholeTurnsDropped(x, 0x1.5993c4p-150);
  const double t6 = WholeTurnsDropped(x, 0x1.c820ffp-177);
  const double turns = t0 + t1 + t2 + t3 + t4 + t5 + t6;
  const double quarters = __builtin_rint(4.0 * turns);
  const double rest =
      WideFma(-0.25, quarters, t0) + t1 + t2 + t3 + t4 + t5 + t6;
  return {rest * (2.0 * kPi), Narrow(quarters)};
}

}  // namespace actserve::f32

#endif  // ACTSERVE_KERNELS_MATH_F32_WIDE_H_
