// Conversions between the 16-bit float types, as bit patterns, and float or
// double.
//
// bfloat16 is the upper half of a float; float16 is IEEE binary16. To 16 bits:
// round to nearest, ties to even, in one rounding from the source type;
// subnormal results are kept, overflow gives infinity, any NaN gives a quiet
// NaN of the same sign. From 16 bits: exact.

#ifndef ACTSERVE_KERNELS_MATH_HALF_H_
#define ACTSERVE_KERNELS_MATH_HALF_H_

#include "kernels/math/macros.h"

ACTSERVE_MATH float actserve_bf16_bits_to_f32(unsigned short bits) {
  return __builtin_bit_cast(float, static_cast<unsigned int>(bits) << 16);
}

ACTSERVE_MATH float actserve_f16_bits_to_f32(unsigned short bits) {
  const unsigned int sign = (bits & 0x8000u) << 16;
  const unsigned int magnitude = bits & 0x7fffu;
  // Normal: rebias the exponent. Infinity and NaN: rebias once more.
  unsigned int normal = (magnitude << 13) + (112u << 23);
  normal += magnitude >= 0x7c00u ? 112u << 23 : 0u;
  // Subnormal: the integer value times 2^-24, both exact.
  const float subnormal =
      static_cast<float>(static_cast<int>(magnitude)) * 0x1p-24f;
  const unsigned int value = magnitude < 0x0400u
                                 ? __builtin_bit_cast(unsigned int, subnormal)
                                 : normal;
  return __builtin_bit_cast(float, value | sign);
}

ACTSERVE_MATH unsigned short actserve_f32_to_bf16_bits(float x) {
  const unsigned int bits = __builtin_bit_cast(unsigned int, x);
  // Half of the last kept place, less one where that place is even.
  const unsigned int rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  const unsigned int kept = x != x ? bits | 0x00400000u : rounded;
  return static_cast<unsigned short>(kept >> 16);
}

ACTSERVE_MATH unsigned short actserve_f32_to_f16_bits(float x) {
  const unsigned int bits = __builtin_bit_cast(unsigned int, x);
  const unsigned int sign = (bits >> 16) & 0x8000u;
  const unsigned int magnitude = bits & 0x7fffffffu;
  // Normal results: round away 13 bits. Too large a value carries into, or
  // past, the infinity's exponent and is cut to it.
  const unsigned int rebiased = magnitude - (112u << 23);
  const unsigned int rounded = (rebiased + 0x0fffu + ((bits >> 13) & 1u)) >> 13;
  // Subnormal results: adding 0.5 leaves the multiples of 2^-24 as the last
  // place, so that the addition itself rounds.
  const float shifted = __builtin_bit_cast(float, magnitude) + 0.5f;
  const unsigned int subnormal =
      __builtin_bit_cast(unsigned int, shifted) - (126u << 23);
  unsigned int result = magnitude < (113u << 23) ? subnormal : rounded;
  result = magnitude >= (143u << 23) ? 0x7c00u : result;
  result = magnitude > 0x7f800000u ? 0x7e00u : result;
  return static_cast<unsigned short>(result | sign);
}

// From double, `x` is first cut to a float that keeps every rounding decision:
// truncated, with the last bit set where anything was cut off (rounding to
// odd). A float has more than two bits beyond either 16-bit type, so rounding
// that float rounds `x` itself correctly.
ACTSERVE_MATH_INTERNAL float actserve_f64_to_odd_f32(double x) {
  const unsigned long long bits = __builtin_bit_cast(unsigned long long, x);
  const unsigned int sign = static_cast<unsigned int>(bits >> 32) & 0x80000000u;
  const unsigned long long magnitude = bits & 0x7fffffffffffffffull;
  // 29 bits of the fraction do not fit.
  const unsigned int sticky = (magnitude & 0x1fffffffull) != 0 ? 1u : 0u;
  const unsigned long long rebiased = magnitude - (896ull << 52);
  unsigned int result = static_cast<unsigned int>(rebiased >> 29) | sticky;
  // Below the normal floats either type only asks whether `x` is zero, and
  // above them it is infinite: any tiny or huge float stands for the rest.
  // bfloat16 has subnormals of its own there: the fraction with its leading
  // one, shifted right, keeps them.
  const unsigned long long exponent = magnitude >> 52;
  const unsigned long long fraction =
      (magnitude & 0xfffffffffffffull) | 0x10000000000000ull;
  const unsigned long long distance = 897ull - exponent;  // Used if positive.
  const unsigned long long shift =
      29ull + (distance > 34ull ? 34ull : distance);
  const unsigned long long cut = fraction >> shift;
  const unsigned int lost = (cut << shift) != fraction ? 1u : 0u;
  const unsigned int subnormal = static_cast<unsigned int>(cut) | lost;
  result = exponent < 897ull ? subnormal : result;
  result = magnitude == 0 ? 0u : result;
  result = exponent >= 1151ull ? 0x7f7fffffu : result;
  result = magnitude == 0x7ff0000000000000ull ? 0x7f800000u : result;
  result = magnitude > 0x7ff0000000000000ull ? 0x7fc00000u : result;
  return __builtin_bit_cast(float, result | sign);
}

// A derivative as the float that 16-bit gradients multiply with: rounded to
// odd, so that rounding it further to 16 bits rounds `x` itself correctly, and
// infinite from 2^128 on, as a product with it would be.
ACTSERVE_MATH float actserve_f64_derivative_to_f32(double x) {
  const float odd = actserve_f64_to_odd_f32(x);
  const float infinity = __builtin_copysignf(__builtin_inff(), odd);
  return __builtin_fabs(x) >= 0x1p128 ? infinity : odd;
}

ACTSERVE_MATH unsigned short actserve_f64_to_bf16_bits(double x) {
  return actserve_f32_to_bf16_bits(actserve_f64_to_odd_f32(x));
}

ACTSERVE_MATH unsigned short actserve_f64_to_f16_bits(double x) {
  return actserve_f32_to_f16_bits(actserve_f64_to_odd_f32(x));
}

#endif  // ACTSERVE_KERNELS_MATH_HALF_H_
