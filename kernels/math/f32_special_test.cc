// The float functions where no error bound says enough: at NaN, infinities,
// zeros and the ends of the range, bit for bit; and the functions of two
// arguments, against the C library's in double.

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/math/math.h"

namespace actserve {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kTiny = std::numeric_limits<float>::denorm_min();
constexpr float kMax = std::numeric_limits<float>::max();

uint32_t Bits(float x) { return __builtin_bit_cast(uint32_t, x); }
float FromBits(uint32_t bits) { return __builtin_bit_cast(float, bits); }

// Equal bits, or both NaN.
bool Same(float a, float b) {
  return Bits(a) == Bits(b) || (std::isnan(a) && std::isnan(b));
}

// ---- One argument --------------------------------------------------------

constexpr float kArguments[] = {kInf,  -kInf,  0.0f, -0.0f,
                                kTiny, -kTiny, kMax, -kMax};

struct Special {
  const char* name;
  float (*function)(float);
  float want[8];  // at kArguments
};

const Special kSpecial[] = {
    {"exp", actserve_exp_f32, {kInf, 0, 1, 1, 1, 1, kInf, 0}},
    {"exp2", actserve_exp2_f32, {kInf, 0, 1, 1, 1, 1, kInf, 0}},
    {"expm1",
     actserve_expm1_f32,
     {kInf, -1, 0, -0.0f, kTiny, -kTiny, kInf, -1}},
    {"exp_minus_square",
     actserve_exp_minus_square_f32,
     {0, 0, 1, 1, 1, 1, 0, 0}},
    {"log",
     actserve_log_f32,
     {kInf, kNaN, -kInf, -kInf, -103.278931f, kNaN, 88.7228394f, kNaN}},
    {"log2",
     actserve_log2_f32,
     {kInf, kNaN, -kInf, -kInf, -149, kNaN, 128, kNaN}},
    {"log10",
     actserve_log10_f32,
     {kInf, kNaN, -kInf, -kInf, -44.8534698f, kNaN, 38.5318413f, kNaN}},
    {"log1p",
     actserve_log1p_f32,
     {kInf, kNaN, 0, -0.0f, kTiny, -kTiny, 88.7228394f, kNaN}},
    {"sin",
     actserve_sin_f32,
     {kNaN, kNaN, 0, -0.0f, kTiny, -kTiny, -0.521876514f, 0.521876514f}},
    {"cos",
     actserve_cos_f32,
     {kNaN, kNaN, 1, 1, 1, 1, 0.853021026f, 0.853021026f}},
    {"tan",
     actserve_tan_f32,
     {kNaN, kNaN, 0, -0.0f, kTiny, -kTiny, -0.611797929f, 0.611797929f}},
    {"asin",
     actserve_asin_f32,
     {kNaN, kNaN, 0, -0.0f, kTiny, -kTiny, kNaN, kNaN}},
    {"acos",
     actserve_acos_f32,
     {kNaN, kNaN, 1.57079637f, 1.57079637f, 1.57079637f, 1.57079637f, kNaN,
      kNaN}},
    {"atan",
     actserve_atan_f32,
     {1.57079637f, -1.57079637f, 0, -0.0f, kTiny, -kTiny, 1.57079637f,
      -1.57079637f}},
    {"sinh",
     actserve_sinh_f32,
     {kInf, -kInf, 0, -0.0f, kTiny, -kTiny, kInf, -kInf}},
    {"cosh", actserve_cosh_f32, {kInf, kInf, 1, 1, 1, 1, kInf, kInf}},
    {"tanh", actserve_tanh_f32, {1, -1, 0, -0.0f, kTiny, -kTiny, 1, -1}},
    {"asinh",
     actserve_asinh_f32,
     {kInf, -kInf, 0, -0.0f, kTiny, -kTiny, 89.4159851f, -89.4159851f}},
    {"acosh",
     actserve_acosh_f32,
     {kInf, kNaN, kNaN, kNaN, kNaN, kNaN, 89.4159851f, kNaN}},
    {"atanh",
     actserve_atanh_f32,
     {kNaN, kNaN, 0, -0.0f, kTiny, -kTiny, kNaN, kNaN}},
    {"erf", actserve_erf_f32, {1, -1, 0, -0.0f, kTiny, -kTiny, 1, -1}},
    {"erfc", actserve_erfc_f32, {0, 2, 1, 1, 1, 1, 0, 2}},
    {"sigmoid", actserve_sigmoid_f32, {1, 0, 0.5f, 0.5f, 0.5f, 0.5f, 1, 0}},
    {"sigmoid_grad",
     actserve_sigmoid_grad_f32,
     {0, 0, 0.25f, 0.25f, 0.25f, 0.25f, 0, 0}},
    {"softplus",
     actserve_softplus_f32,
     {kInf, 0, 0.693147182f, 0.693147182f, 0.693147182f, 0.693147182f, kMax,
      0}},
    {"logsigmoid",
     actserve_logsigmoid_f32,
     {-0.0f, -kInf, -0.693147182f, -0.693147182f, -0.693147182f, -0.693147182f,
      -0.0f, -kMax}},
    {"sech2", actserve_sech2_f32, {0, 0, 1, 1, 1, 1, 0, 0}},
    {"tanhshrink",
     actserve_tanhshrink_f32,
     {kInf, -kInf, 0, -0.0f, 0, -0.0f, kMax, -kMax}},
    {"normcdf", actserve_normcdf_f32, {1, 0, 0.5f, 0.5f, 0.5f, 0.5f, 1, 0}},
    {"normpdf",
     actserve_normpdf_f32,
     {0, 0, 0.398942292f, 0.398942292f, 0.398942292f, 0.398942292f, 0, 0}},
    {"silu", actserve_silu_f32, {kInf, -0.0f, 0, -0.0f, 0, -0.0f, kMax, -0.0f}},
    {"silu_grad",
     actserve_silu_grad_f32,
     {1, -0.0f, 0.5f, 0.5f, 0.5f, 0.5f, 1, -0.0f}},
    {"gelu",
     actserve_gelu_f32,
     {kInf, -0.0f, 0, -0.0f, kTiny, -0.0f, kMax, -0.0f}},
    {"gelu_grad",
     actserve_gelu_grad_f32,
     {1, -0.0f, 0.5f, 0.5f, 0.5f, 0.5f, 1, -0.0f}},
    {"gelu_tanh",
     actserve_gelu_tanh_f32,
     {kInf, -0.0f, 0, -0.0f, 0, -0.0f, kMax, -0.0f}},
    {"gelu_tanh_grad",
     actserve_gelu_tanh_grad_f32,
     {1, -0.0f, 0.5f, 0.5f, 0.5f, 0.5f, 1, -0.0f}},
    {"mish",
     actserve_mish_f32,
     {kInf, -0.0f, 0, -0.0f, kTiny, -kTiny, kMax, -0.0f}},
    {"mish_grad",
     actserve_mish_grad_f32,
     {1, -0.0f, 0.600000024f, 0.600000024f, 0.600000024f, 0.600000024f, 1,
      -0.0f}},
    {"floormod1", actserve_floormod1_f32, {kNaN, kNaN, 0, 0, kTiny, 1, 0, 0}},
};

TEST(F32Special, KeepsTheTable) {
  for (const Special& row : kSpecial) {
    for (size_t i = 0; i < 8; ++i) {
      const float got = row.function(kArguments[i]);

      EXPECT_TRUE(Same(got, row.want[i]))
          << row.name << "(" << kArguments[i] << ") is " << got << ", not "
          << row.want[i];
    }
  }
}

TEST(F32Special, KeepsNaN) {
  // Quiet, of either sign, with and without other bits set.
  for (const uint32_t bits : {0x7fc00000u, 0xffc00000u, 0x7fffffffu}) {
    for (const Special& row : kSpecial) {
      EXPECT_TRUE(std::isnan(row.function(FromBits(bits)))) << row.name;
    }
  }
}

// Exact where the mathematics is.
TEST(F32Special, ExactPowersOfTwo) {
  for (int n = -149; n < 128; ++n) {
    const float power = std::ldexp(1.0f, n);
    EXPECT_EQ(actserve_exp2_f32(static_cast<float>(n)), power) << n;
    EXPECT_EQ(actserve_log2_f32(power), static_cast<float>(n)) << n;
  }
}

// The float whose cosine is among the smallest: whole turns cancel 95 bits of
// it, and a reduction that rounds before they are gone was 2.7 ulp off.
TEST(F32Special, CosineOfTheHardestFloat) {
  constexpr float kHardest = 0x1.f37c8ap+95f;

  EXPECT_EQ(actserve_cos_f32(kHardest), -0x1.bbdd52p-30f);
  EXPECT_EQ(actserve_cos_f32(-kHardest), -0x1.bbdd52p-30f);
}

// ---- Two arguments -------------------------------------------------------

// The same "random" bits on every machine.
class Sequence {
 public:
  uint32_t Next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 32);
  }

 private:
  uint64_t state_ = 20220301;
};

// Pairs of all sizes; pairs of like size; small divisors and exponents;
// subnormal divisors.
template <typename Visit>
void VisitPairs(Visit visit) {
  Sequence bits;
  for (int i = 0; i < 1000000; ++i) {
    uint32_t a = bits.Next();
    uint32_t b = bits.Next();
    if (i % 4 == 1) b = (b & 0x81ffffff) | (a & 0x7e000000);
    if (i % 4 == 2) {
      a = (a & 0x81ffffff) | 0x3e000000;
      b = (b & 0x83ffffff) | 0x3c000000;
    }
    if (i % 4 == 3) b &= 0x800000ff;
    visit(FromBits(a), FromBits(b));
  }
  constexpr float kCorners[] = {
      0,      -0.0f, 1,     -1,    2,           -2,          3,        -3,
      0.5f,   -0.5f, 1.5f,  -2.5f, kInf,        -kInf,       kNaN,     kTiny,
      -kTiny, kMax,  -kMax, 1e10f, 16777216.0f, 33554431.0f, 0x1p-126f};
  for (const float x : kCorners) {
    for (const float y : kCorners) visit(x, y);
  }
}

// Within 0.501 ulp of `want`, which double's own error allows.
bool Rounds(float got, double want) {
  if (Same(got, static_cast<float>(want))) return true;
  if (!std::isfinite(want) || !std::isfinite(got)) return false;
  const double size = std::fabs(want);
  const double ulp =
      size < 0x1p-126 ? 0x1p-149 : std::ldexp(1.0, std::ilogb(size) - 23);
  return std::fabs(got - want) <= 0.501 * ulp;
}

TEST(F32Pow, RoundsCsPow) {
  VisitPairs([](float x, float y) {
    const double want = std::pow(static_cast<double>(x), y);
    const float got = actserve_pow_f32(x, y);
    ASSERT_TRUE(Rounds(got, want)) << x << ", " << y << ": " << got;
  });
}

TEST(F32Atan2, RoundsCsAtan2) {
  VisitPairs([](float y, float x) {
    const double want = std::atan2(static_cast<double>(y), x);
    const float got = actserve_atan2_f32(y, x);
    ASSERT_TRUE(Rounds(got, want)) << y << ", " << x << ": " << got;
  });
}

TEST(F32Fmod, IsCsFmod) {
  VisitPairs([](float x, float y) {
    const float got = actserve_fmod_f32(x, y);
    ASSERT_TRUE(Same(got, std::fmod(x, y))) << x << ", " << y << ": " << got;
  });
}

// CPython's float_rem, in float: C's fmod and one addition.
float PythonMod(float x, float y) {
  const float r = std::fmod(x, y);
  if (r == 0) return std::copysign(0.0f, y);
  return (r < 0) != (y < 0) ? r + y : r;
}

TEST(F32FloorMod, IsPythonsModulo) {
  VisitPairs([](float x, float y) {
    const float got = actserve_floormod_f32(x, y);
    ASSERT_TRUE(Same(got, PythonMod(x, y))) << x << ", " << y << ": " << got;
  });
}

// CPython's float_floor_div in double, on floats; IEEE where it would raise.
float PythonFloorDiv(double x, double y) {
  if (y == 0) return static_cast<float>(x / y);
  const double mod = std::fmod(x, y);
  double div = (x - mod) / y;
  if (mod != 0 && (mod < 0) != (y < 0)) div -= 1;
  if (div == 0) return static_cast<float>(std::copysign(0.0, x / y));
  const double floor = std::floor(div);
  return static_cast<float>(div - floor > 0.5 ? floor + 1 : floor);
}

TEST(F32FloorDiv, IsPythonsFloorDivision) {
  VisitPairs([](float x, float y) {
    const float got = actserve_floordiv_f32(x, y);
    ASSERT_TRUE(Same(got, PythonFloorDiv(x, y)))
        << x << ", " << y << ": " << got;
  });
}

// The special form for the divisor 1, on every 61st float; f32_full_test takes
// all.
TEST(F32FloorMod, EqualsItsFormForOne) {
  constexpr uint64_t kStep = 61;
  for (uint64_t i = 0; i < uint64_t{1} << 32; i += kStep) {
    const float x = FromBits(static_cast<uint32_t>(i));
    ASSERT_TRUE(Same(actserve_floormod1_f32(x), actserve_floormod_f32(x, 1)))
        << x;
  }
}

TEST(F32FloorMod, KeepsTheDigitsOfSpiky) {
  EXPECT_EQ(actserve_floormod1_f32(1.2f), 0.20000005f);
  EXPECT_EQ(actserve_floormod1_f32(-1e-20f), 1.0f);
}

}  // namespace
}  // namespace actserve
