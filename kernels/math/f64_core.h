// Shared by the double functions: bits, fma, pairs, exp and log with more than
// 53 bits.
//
// A Pair is the unevaluated sum hi + lo, |lo| small beside |hi|: where a
// function needs more bits inside than it returns. Polynomials are minimax
// (tools/minimax.py NAME). Internal to kernels/math.

#ifndef ACTSERVE_KERNELS_MATH_F64_CORE_H_
#define ACTSERVE_KERNELS_MATH_F64_CORE_H_

#include "kernels/math/macros.h"

namespace actserve::f64 {

using Bits = unsigned long long;

// A number as the sum of two doubles.
struct Pair {
  double hi;
  double lo;
};

constexpr double kInfinity = __builtin_huge_val();
constexpr double kMaxFinite = 0x1.fffffffffffffp1023;
constexpr double kNaN = __builtin_nan("");

ACTSERVE_MATH_INTERNAL double Fma(double a, double b, double c) {
  return __builtin_fma(a, b, c);
}
ACTSERVE_MATH_INTERNAL Bits ToBits(double x) {
  return __builtin_bit_cast(Bits, x);
}
ACTSERVE_MATH_INTERNAL double FromBits(Bits bits) {
  return __builtin_bit_cast(double, bits);
}
ACTSERVE_MATH_INTERNAL double Abs(double x) { return __builtin_fabs(x); }
ACTSERVE_MATH_INTERNAL double Sqrt(double x) { return __builtin_sqrt(x); }
ACTSERVE_MATH_INTERNAL double Floor(double x) { return __builtin_floor(x); }
ACTSERVE_MATH_INTERNAL double Trunc(double x) { return __builtin_trunc(x); }
// Half to even.
ACTSERVE_MATH_INTERNAL double Rint(double x) { return __builtin_rint(x); }
ACTSERVE_MATH_INTERNAL double CopySign(double magnitude, double sign) {
  return __builtin_copysign(magnitude, sign);
}
// The same as ?: for arms that cost something: both are evaluated, so that no
// compiler makes a branch of it.
ACTSERVE_MATH_INTERNAL double Select(bool condition, double a, double b) {
  return condition ? a : b;
}
// Keep a NaN in `x`.
ACTSERVE_MATH_INTERNAL double AtLeast(double x, double low) {
  return x < low ? low : x;
}
ACTSERVE_MATH_INTERNAL double AtMost(double x, double high) {
  return x > high ? high : x;
}

// a + b exactly; the fast form for |a| >= |b| or a = 0.
ACTSERVE_MATH_INTERNAL Pair FastTwoSum(double a, double b) {
  const double sum = a + b;
  return {sum, b - (sum - a)};
}
ACTSERVE_MATH_INTERNAL Pair TwoSum(double a, double b) {
  const double sum = a + b;
  const double b_part = sum - a;
  return {sum, (a - (sum - b_part)) + (b - b_part)};
}
// a * b exactly, if nothing of it is subnormal.
ACTSERVE_MATH_INTERNAL Pair TwoProduct(double a, double b) {
  const double product = a * b;
  return {product, Fma(a, b, -product)};
}
// Products to about 2^-103.
ACTSERVE_MATH_INTERNAL Pair Multiply(Pair a, double b) {
  const Pair product = TwoProduct(a.hi, b);
  return FastTwoSum(product.hi, Fma(a.lo, b, product.lo));
}
ACTSERVE_MATH_INTERNAL Pair Multiply(Pair a, Pair b) {
  const Pair product = TwoProduct(a.hi, b.hi);
  return FastTwoSum(product.hi, product.lo + Fma(a.hi, b.lo, a.lo * b.hi));
}
// numerator / denominator, to 2^-103 of exact operands: the remainder of a
// first quotient gives the rest. `reciprocal` is 1 / denominator.hi, roughly.
ACTSERVE_MATH_INTERNAL Pair Divide(Pair numerator, Pair denominator,
                                   double reciprocal) {
  const double quotient = numerator.hi * reciprocal;
  const double remainder = Fma(-quotient, denominator.hi, numerator.hi) +
                           Fma(-quotient, denominator.lo, numerator.lo);
  return {quotient, remainder * reciprocal};
}

constexpr Pair kLn2 = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
constexpr Pair kLog2E = {0x1.71547652b82fep+0, 0x1.777d0ffda0d24p-56};

// Adding kRound rounds to an integer, which then stands in the low bits.
constexpr double kRound = 0x1.8p52;

// Exponents of two are carried with twice the bias of a double, so that they
// stay positive and split into the exponents of two factors.
constexpr Bits kExponentZero = 2046;

// x 2^(exponent - kExponentZero), rounded once; exponent in [2, 4092].
ACTSERVE_MATH_INTERNAL double Scale(double x, Bits exponent) {
  const Bits half = exponent >> 1;
  return x * FromBits(half << 52) * FromBits((exponent - half) << 52);
}

// 2^(exponent - kExponentZero + shift), where that is a normal number.
ACTSERVE_MATH_INTERNAL double Pow2(Bits exponent, int shift = 0) {
  return FromBits((exponent + static_cast<Bits>(shift - 1023)) << 52);
}

// value.hi + value.lo times 2^(exponent - kExponentZero).
struct Scaled {
  Pair value;
  Bits exponent;
};

// exp(r + r_low) to 2^-60, for |r| <= log(2)/2 and |r_low| <= ulp(r).
// [minimax.py exp]
ACTSERVE_MATH_INTERNAL Pair ExpReduced(double r, double r_low) {
  double p = 0x1.1f9561859b5f6p-29;
  p = Fma(p, r, 0x1.af5eced5ecb20p-26);
  p = Fma(p, r, 0x1.27e4c5a21d680p-22);
  p = Fma(p, r, 0x1.71ddf84b4277ep-19);
  p = Fma(p, r, 0x1.a01a01b0b6641p-16);
  p = Fma(p, r, 0x1.a01a01afe82a2p-13);
  p = Fma(p, r, 0x1.6c16c16c14453p-10);
  p = Fma(p, r, 0x1.111111110f6a8p-7);
  p = Fma(p, r, 0x1.555555555555ap-5);
  p = Fma(p, r, 0x1.5555555555559p-3);
  p = Fma(p, r, 0.5);
  const Pair sum = FastTwoSum(1.0, r);
  return {sum.hi, sum.lo + Fma(r, Fma(r, p, r_low), r_low)};
}

// exp(x + x_low) to 2^-60, the value between 0.7 and 1.42. For |x| <= 1400
// and |x_low| <= ulp(x). A NaN stays in the value.
ACTSERVE_MATH_INTERNAL Scaled ExpOf(double x, double x_low = 0.0) {
  const double bias = kRound + static_cast<double>(kExponentZero);
  const double shifted = Fma(x, kLog2E.hi, bias);
  const double n = shifted - bias;
  // n kLn2.hi leaves x exactly: the difference is a multiple of 2^-53 (or of
  // ulp(x)) below 2^53 of them.
  const double r_high = Fma(-n, kLn2.hi, x);
  const double rest = Fma(-n, kLn2.lo, x_low);
  const Pair r = FastTwoSum(r_high, rest);
  return {ExpReduced(r.hi, r.lo), ToBits(shifted) & 0xfff};
}

// Takes apart a positive normal x = m 2^n, sqrt(1/2) <= m < sqrt(2).
struct Mantissa {
  double m;
  double n;
  Bits biased;  // n + 1023
};
ACTSERVE_MATH_INTERNAL Mantissa MantissaOf(double x) {
  const Bits sqrt_half = 0x3fe6a09e667f3bcd;
  const Bits moved = ToBits(x) + (0x3ff0000000000000 - sqrt_half);
  const Bits biased = moved >> 52;
  const double m = FromBits((moved & 0x000fffffffffffff) + sqrt_half);
  // Written behind 2^52 an integer is a double's fraction.
  const double n = FromBits(0x4330000000000000 | biased) - (0x1p52 + 1023.0);
  return {m, n, biased};
}

// log(m), and the quotient s in which it is written.
struct ReducedLog {
  Pair value;
  double s;
};

// log(m) to 2^-58 of its size, for m as MantissaOf gives it. After fdlibm: with
// f = m - 1, s = f/(2+f), log(m) = f - f*f/2 + s*(f*f/2 + R(s*s)); f*f/2 in a
// pair. [minimax.py log]
ACTSERVE_MATH_INTERNAL ReducedLog LogReduced(double m) {
  const double f = m - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  double p = 0x1.0c0a8bde06cc4p-3;
  p = Fma(p, z, 0x1.0fbde053cda9bp-3);
  p = Fma(p, z, 0x1.3b1c3ca48687bp-3);
  p = Fma(p, z, 0x1.745cf8df671edp-3);
  p = Fma(p, z, 0x1.c71c7201ba483p-3);
  p = Fma(p, z, 0x1.2492492476903p-2);
  p = Fma(p, z, 0x1.9999999999a39p-2);
  p = Fma(p, z, 0x1.5555555555555p-1);
  const Pair half_square = TwoProduct(0.5 * f, f);
  const Pair head = FastTwoSum(f, -half_square.hi);
  const double low = head.lo - half_square.lo;
  return {{head.hi, Fma(s, Fma(z, p, half_square.hi), low)}, s};
}

// Returns n log(2) + log_m. The first constant has 40 bits of log(2), so its
// product with n is exact.
ACTSERVE_MATH_INTERNAL Pair AddLn2(double n, Pair log_m) {
  const Pair sum = FastTwoSum(n * 0x1.62e42fefa4p-1, log_m.hi);
  return {sum.hi, sum.lo + Fma(n, -0x1.8432a1b0e2634p-43, log_m.lo)};
}

// log((x.hi + x.lo) 2^exponent) to 2^-58 of its size, x.hi >= 2^-60 and finite.
ACTSERVE_MATH_INTERNAL Pair LogOf(Pair x, double exponent = 0.0) {
  const Mantissa parts = MantissaOf(x.hi);
  const ReducedLog reduced = LogReduced(parts.m);
  // x.lo / x.hi, where 1/m = (1-s)/(1+s) to s^4 relatively. n may be 1024.
  const double unscale = FromBits((2047 - parts.biased) << 52) * 0.5;
  const double t = 1.0 - reduced.s;
  const double low = x.lo * unscale * t * t;
  const double correction = Fma(low, reduced.s * reduced.s, low);
  return AddLn2(parts.n + exponent,
                {reduced.value.hi, reduced.value.lo + correction});
}

}  // namespace actserve::f64

#endif  // ACTSERVE_KERNELS_MATH_F64_CORE_H_
