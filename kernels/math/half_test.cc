// Both 16-bit types: every pattern decoded, and rounding at and around every
// value and every midpoint, against an oracle that searches the values.

#include "kernels/math/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

namespace actserve {
namespace {

struct Format {
  const char* name;
  int fraction_bits;
  int exponent_bits;
  float (*to_f32)(unsigned short);
  unsigned short (*from_f32)(float);
  unsigned short (*from_f64)(double);

  // The value that a pattern has by the definition of the format, sign bit
  // clear; for infinity the next power of two, where overflow rounds to.
  double Value(uint32_t bits) const {
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = static_cast<int>(bits >> fraction_bits);
    const double fraction =
        std::ldexp(bits & ((1u << fraction_bits) - 1), -fraction_bits);
    return exponent == 0 ? std::ldexp(fraction, 1 - bias)
                         : std::ldexp(1 + fraction, exponent - bias);
  }
  uint32_t Infinity() const {
    return ((1u << exponent_bits) - 1) << fraction_bits;
  }

  // The pattern nearest to `x`, ties to the even pattern, by bisection.
  uint32_t Nearest(double x) const {
    const uint32_t sign = std::signbit(x) ? 0x8000 : 0;
    const double size = std::fabs(x);
    if (size >= Value(Infinity())) return sign | Infinity();
    uint32_t low = 0;
    uint32_t high = Infinity();
    while (high - low > 1) {
      const uint32_t middle = (low + high) / 2;
      (Value(middle) <= size ? low : high) = middle;
    }
    // Exact: a midpoint has one bit more than the format.
    const double midpoint = (Value(low) + Value(high)) / 2;
    const bool up = size > midpoint || (size == midpoint && low % 2 == 1);
    return sign | (up ? high : low);
  }
};

const Format kFormats[] = {
    {"bfloat16", 7, 8, actserve_bf16_bits_to_f32, actserve_f32_to_bf16_bits,
     actserve_f64_to_bf16_bits},
    {"float16", 10, 5, actserve_f16_bits_to_f32, actserve_f32_to_f16_bits,
     actserve_f64_to_f16_bits},
};

class Half : public ::testing::TestWithParam<Format> {};

TEST_P(Half, DecodesEveryPattern) {
  const Format& format = GetParam();
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const uint32_t magnitude = bits & 0x7fff;
    const double sign = bits > 0x7fff ? -1 : 1;

    const float got = format.to_f32(static_cast<uint16_t>(bits));

    if (magnitude > format.Infinity()) {
      ASSERT_TRUE(std::isnan(got)) << bits;
    } else if (magnitude == format.Infinity()) {
      ASSERT_EQ(got, sign * std::numeric_limits<double>::infinity());
    } else {
      ASSERT_EQ(got, sign * format.Value(magnitude)) << bits;
      ASSERT_EQ(std::signbit(got), sign < 0) << bits;
    }
  }
}

TEST_P(Half, EncodesWhatItDecoded) {
  const Format& format = GetParam();
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = format.to_f32(static_cast<uint16_t>(bits));
    if (std::isnan(value)) continue;

    ASSERT_EQ(format.from_f32(value), bits);
    ASSERT_EQ(format.from_f64(value), bits);
  }
}

// Each value, each midpoint to the next, and their neighbors: in double, and
// in float where float can tell them apart.
TEST_P(Half, RoundsToNearestEven) {
  const Format& format = GetParam();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr float kInfF = std::numeric_limits<float>::infinity();
  for (uint32_t bits = 0; bits < format.Infinity(); ++bits) {
    const double value = format.Value(bits);
    const double midpoint = (value + format.Value(bits + 1)) / 2;
    for (const double x : {value, midpoint}) {
      const auto f = static_cast<float>(x);
      for (const double y :
           {x, std::nextafter(x, kInf), std::nextafter(x, -kInf)}) {
        ASSERT_EQ(format.from_f64(y), format.Nearest(y)) << y;
        ASSERT_EQ(format.from_f64(-y), format.Nearest(-y)) << -y;
      }
      for (const float y :
           {f, std::nextafter(f, kInfF), std::nextafter(f, -kInfF)}) {
        ASSERT_EQ(format.from_f32(y), format.Nearest(y)) << y;
        ASSERT_EQ(format.from_f32(-y), format.Nearest(-y)) << -y;
      }
    }
  }
}

TEST_P(Half, RoundsDoublesOfAnyExponent) {
  const Format& format = GetParam();
  uint64_t bits = 1;
  for (int i = 0; i < 200000; ++i) {
    bits = bits * 6364136223846793005u + 1442695040888963407u;
    const double x = __builtin_bit_cast(double, bits);
    if (std::isnan(x)) continue;

    ASSERT_EQ(format.from_f64(x), format.Nearest(x)) << x;
  }
}

TEST_P(Half, KeepsNaNAndItsSign) {
  const Format& format = GetParam();
  // The lowest bit alone set: lost if the upper bits were simply kept.
  const float f = __builtin_bit_cast(float, 0x7f800001u);
  const double d = __builtin_bit_cast(double, uint64_t{0x7ff0000000000001});
  for (const uint32_t got :
       {uint32_t{format.from_f32(f)}, uint32_t{format.from_f64(d)}}) {
    EXPECT_GT(got, format.Infinity());
    EXPECT_LE(got, 0x7fffu);
  }
  EXPECT_GT(format.from_f32(-f), 0x8000u + format.Infinity());
  EXPECT_GT(format.from_f64(-d), 0x8000u + format.Infinity());
}

TEST_P(Half, RoundsDerivativesByWayOfFloatAsIfAtOnce) {
  const Format& format = GetParam();
  for (uint32_t bits = 0; bits < format.Infinity(); ++bits) {
    const double tie = (format.Value(bits) + format.Value(bits + 1)) / 2;
    for (double x :
         {std::nextafter(tie, 0), tie, std::nextafter(tie, HUGE_VAL)}) {
      EXPECT_EQ(format.from_f32(actserve_f64_derivative_to_f32(x)),
                format.Nearest(x))
          << x;
    }
  }
}

TEST(Derivative, IsInfiniteWhereAFloatIs) {
  EXPECT_EQ(actserve_f64_derivative_to_f32(0x1p128), INFINITY);
  EXPECT_EQ(actserve_f64_derivative_to_f32(-1e300), -INFINITY);
  EXPECT_TRUE(std::isnan(actserve_f64_derivative_to_f32(NAN)));
  EXPECT_EQ(actserve_f64_derivative_to_f32(0x1.fffffep127), 0x1.fffffep127f);
}

INSTANTIATE_TEST_SUITE_P(Formats, Half, ::testing::ValuesIn(kFormats),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace actserve
