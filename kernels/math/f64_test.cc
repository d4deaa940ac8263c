// The double functions against MPFR (320 bits), and their special values.
//
// ACTSERVE_F64_SAMPLES is the number of inputs a function is measured on; the
// target f64_full_test is this file with more of them.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "gtest/gtest.h"
#include "kernels/math/math.h"
#include "kernels/math/reference/real.h"

#ifndef ACTSERVE_F64_SAMPLES
#define ACTSERVE_F64_SAMPLES 5000
#endif

namespace actserve {
namespace {

using testing::Abs;
using testing::Acos;
using testing::Acosh;
using testing::Asin;
using testing::Asinh;
using testing::Atan;
using testing::Atanh;
using testing::Cos;
using testing::Cosh;
using testing::Erf;
using testing::Exp;
using testing::Exp2;
using testing::Expm1;
using testing::Log;
using testing::Log10;
using testing::Log1p;
using testing::Log2;
using testing::Max;
using testing::Real;
using testing::Sin;
using testing::Sinh;
using testing::Sqrt;
using testing::Tan;
using testing::Tanh;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kMax = std::numeric_limits<double>::max();
constexpr double kMinNormal = std::numeric_limits<double>::min();
constexpr double kMinSubnormal = std::numeric_limits<double>::denorm_min();

uint64_t Bits(double x) { return __builtin_bit_cast(uint64_t, x); }

// Bit i of a Weyl sequence mixed: the same "random" 64 bits on every machine.
uint64_t Mix(uint64_t i) {
  uint64_t z = (i + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// Even i: any bit pattern, so any exponent and sign. Odd i: uniform in
// [low, high], where the function has its shape.
double Sample(uint64_t i, double low, double high) {
  const uint64_t bits = Mix(i);
  if (i % 2 == 0) return __builtin_bit_cast(double, bits);
  return low + (high - low) * (static_cast<double>(bits >> 11) * 0x1p-53);
}

// The distance between double's neighbors at `x`.
double Ulp(double x) {
  const double a = std::min(std::fabs(x), kMax);
  if (a < kMinNormal) return kMinSubnormal;
  return std::ldexp(1.0, std::ilogb(a) - 52);
}

// |got - want| in ulps of `scale`; 0 if both overflow alike.
double ErrorInUlps(double got, const Real& want, double scale) {
  const double rounded = want.ToDouble();
  if (Bits(got) == Bits(rounded) && std::isinf(got)) return 0;
  if (std::isnan(got) && want.IsNaN()) return 0;
  if (std::isnan(got) || want.IsNaN()) return kInf;
  // An overflow one ulp early is one ulp of error.
  const Real finite = std::isinf(got)
                          ? Real(std::copysign(1.0, got)) * Real(0x1p1023) * 2
                          : Real(got);
  return (Abs(finite - want) / Real(Ulp(scale))).ToDouble();
}

// Whether to print what was measured, for the figures in the headers.
bool PrintUlps() { return std::getenv("ACTSERVE_PRINT_ULPS") != nullptr; }

// Equal bits, or both NaN.
void ExpectSame(double got, double want) {
  if (std::isnan(want)) {
    EXPECT_TRUE(std::isnan(got)) << got;
  } else {
    EXPECT_EQ(Bits(got), Bits(want)) << got << " is not " << want;
  }
}

struct Accuracy {
  const char* name;
  double (*function)(double);
  Real (*reference)(const Real&);
  // Sampled densely here, beside samples over all bit patterns.
  double low;
  double high;
  double max_ulp;
  // Where the function has roots that its formula meets by cancellation: the
  // term whose ulps count.
  Real (*largest_term)(const Real&) = nullptr;
  // One in so many samples, where MPFR is slow.
  uint64_t thinned = 1;
};

Real Sigmoid(const Real& x) { return 1 / (1 + Exp(-x)); }
Real Softplus(const Real& x) { return Max(x, 0) + Log1p(Exp(-Abs(x))); }
Real Sech2(const Real& x) { return 1 / (Cosh(x) * Cosh(x)); }
// x - tanh(x), by its series where the difference would lose all bits.
Real Tanhshrink(const Real& x) {
  const Real z = x * x;
  if (Abs(x) < 0x1p-60) return x * z / 3 * (1 - 2 * z / 5);
  return x - Tanh(x);
}
Real SiluGrad(const Real& x) { return Sigmoid(x) * (1 + x * Sigmoid(-x)); }

Real SiluGradTerm(const Real& x) {
  return Sigmoid(x) * Max(1, Abs(x) * Sigmoid(-x));
}
// Far out MPFR's erfc is slow, and as a double it is 0.
Real CutErfc(const Real& x) {
  return x > 29 ? Exp(-x * x) : testing::Erfc(Max(x, -29));
}
Real Phi(const Real& x) { return CutErfc(-x / Sqrt(2)) / 2; }
Real PhiGrad(const Real& x) { return Exp(-x * x / 2) / Sqrt(2 * Real::Pi()); }
Real Gelu(const Real& x) { return x * Phi(x); }
Real GeluGrad(const Real& x) { return Phi(x) + x * PhiGrad(x); }
Real GeluGradTerm(const Real& x) { return Max(Phi(x), Abs(x) * PhiGrad(x)); }
Real TwiceU(const Real& x) {
  return 2 * Sqrt(2 / Real::Pi()) * (x + Real("0.044715") * x * x * x);
}
// t = x d(2u)/dx.
Real SlopeTerm(const Real& x) {
  return 2 * Sqrt(2 / Real::Pi()) * (x + 3 * Real("0.044715") * x * x * x);
}
Real GeluTanh(const Real& x) { return x * Sigmoid(TwiceU(x)); }
Real GeluTanhGrad(const Real& x) {
  const Real v = TwiceU(x);
  return Sigmoid(v) * (1 + SlopeTerm(x) * Sigmoid(-v));
}
Real GeluTanhGradTerm(const Real& x) {
  const Real v = TwiceU(x);
  return Sigmoid(v) * Max(1, Abs(SlopeTerm(x)) * Sigmoid(-v));
}
Real Mish(const Real& x) { return x * Tanh(Softplus(x)); }
Real MishSlope(const Real& x) { return x * Sech2(Softplus(x)) * Sigmoid(x); }
Real MishGrad(const Real& x) { return Tanh(Softplus(x)) + MishSlope(x); }
Real MishGradTerm(const Real& x) {
  return Max(Tanh(Softplus(x)), Abs(MishSlope(x)));
}

const Accuracy kAccuracy[] = {
    {"exp", actserve_exp_f64, Exp, -746, 710, 0.73},
    {"exp", actserve_exp_f64, Exp, -1, 1, 0.73},
    {"exp2", actserve_exp2_f64, Exp2, -1080, 1024, 0.74},
    {"expm1", actserve_expm1_f64, Expm1, -40, 710, 0.89},
    {"expm1", actserve_expm1_f64, Expm1, -1.5, 1.5, 0.89},
    {"log", actserve_log_f64, Log, 0, 3, 0.60},
    {"log2", actserve_log2_f64, Log2, 0, 3, 0.68},
    {"log10", actserve_log10_f64, Log10, 0, 3, 0.62},
    {"log1p", actserve_log1p_f64, Log1p, -1, 3, 0.86},
    {"log1p", actserve_log1p_f64, Log1p, -0.001, 0.001, 0.86},
    {"tanh", actserve_tanh_f64, Tanh, -3, 3, 0.74},
    {"tanhshrink", actserve_tanhshrink_f64, Tanhshrink, -3, 3, 1.9},
    {"sech2", actserve_sech2_f64, Sech2, -400, 10, 2.0},
    {"sigmoid", actserve_sigmoid_f64, Sigmoid, -750, 40, 2.2},
    {"sigmoid", actserve_sigmoid_f64, Sigmoid, -3, 3, 2.2},
    {"sigmoid_grad", actserve_sigmoid_grad_f64,
     [](const Real& x) { return Sigmoid(x) * Sigmoid(-x); }, -750, 750, 2.0},
    {"sigmoid_grad", actserve_sigmoid_grad_f64,
     [](const Real& x) { return Sigmoid(x) * Sigmoid(-x); }, -3, 3, 2.0},
    {"softplus", actserve_softplus_f64, Softplus, -750, 40, 1.4},
    {"softplus", actserve_softplus_f64, Softplus, -3, 3, 1.4},
    {"logsigmoid", actserve_logsigmoid_f64,
     [](const Real& x) { return -Softplus(-x); }, -40, 750, 1.4},
    {"silu", actserve_silu_f64, [](const Real& x) { return x * Sigmoid(x); },
     -760, 40, 2.9},
    {"silu", actserve_silu_f64, [](const Real& x) { return x * Sigmoid(x); },
     -3, 3, 2.9},
    {"silu_grad", actserve_silu_grad_f64, SiluGrad, -760, 760, 2.4,
     SiluGradTerm},
    {"silu_grad", actserve_silu_grad_f64, SiluGrad, -5, 5, 2.4, SiluGradTerm},
    {"erf", actserve_erf_f64, Erf, -6, 6, 0.80},
    {"erf", actserve_erf_f64, Erf, 0.8, 1.2, 0.80},
    {"erfc", actserve_erfc_f64, CutErfc, -6, 28, 1.9, nullptr, 16},
    {"erfc", actserve_erfc_f64, CutErfc, -1, 1, 1.9},
    {"normcdf", actserve_normcdf_f64, Phi, -39, 9, 2.1, nullptr, 16},
    {"normcdf", actserve_normcdf_f64, Phi, -1, 1, 2.1},
    {"normpdf", actserve_normpdf_f64, PhiGrad, -39, 39, 0.75},
    {"exp_minus_square", actserve_exp_minus_square_f64,
     [](const Real& x) { return Exp(-x * x); }, -28, 28, 0.74},
    {"gelu", actserve_gelu_f64, Gelu, -39, 9, 2.9, nullptr, 16},
    {"gelu", actserve_gelu_f64, Gelu, -2, 2, 2.9},
    {"gelu_grad", actserve_gelu_grad_f64, GeluGrad, -39, 9, 2.8, GeluGradTerm,
     16},
    {"gelu_grad", actserve_gelu_grad_f64, GeluGrad, -2, 2, 2.8, GeluGradTerm},
    {"gelu_tanh", actserve_gelu_tanh_f64, GeluTanh, -22, 9, 2.9},
    {"gelu_tanh", actserve_gelu_tanh_f64, GeluTanh, -2, 2, 2.9},
    {"gelu_tanh_grad", actserve_gelu_tanh_grad_f64, GeluTanhGrad, -22, 9, 3.3,
     GeluTanhGradTerm},
    {"gelu_tanh_grad", actserve_gelu_tanh_grad_f64, GeluTanhGrad, -2, 2, 3.3,
     GeluTanhGradTerm},
    {"mish", actserve_mish_f64, Mish, -760, 40, 2.5},
    {"mish", actserve_mish_f64, Mish, -4, 4, 2.5},
    {"mish_grad", actserve_mish_grad_f64, MishGrad, -760, 40, 3.4,
     MishGradTerm},
    {"mish_grad", actserve_mish_grad_f64, MishGrad, -4, 4, 3.4, MishGradTerm},
    {"sin", actserve_sin_f64, Sin, -10, 10, 0.76},
    {"sin", actserve_sin_f64, Sin, -1e6, 1e6, 0.76},
    {"cos", actserve_cos_f64, Cos, -10, 10, 0.75},
    {"cos", actserve_cos_f64, Cos, -1e6, 1e6, 0.75},
    {"tan", actserve_tan_f64, Tan, -10, 10, 0.89},
    {"asin", actserve_asin_f64, Asin, -1, 1, 0.60},
    {"acos", actserve_acos_f64, Acos, -1, 1, 0.60},
    {"atan", actserve_atan_f64, Atan, -5, 5, 0.67},
    {"sinh", actserve_sinh_f64, Sinh, -711, 711, 0.76},
    {"sinh", actserve_sinh_f64, Sinh, -2, 2, 0.76},
    {"cosh", actserve_cosh_f64, Cosh, -711, 711, 0.77},
    {"cosh", actserve_cosh_f64, Cosh, -2, 2, 0.77},
    {"asinh", actserve_asinh_f64, Asinh, -4, 4, 1.4},
    {"acosh", actserve_acosh_f64, Acosh, 1, 4, 1.3},
    {"atanh", actserve_atanh_f64, Atanh, -1, 1, 0.60},
};

TEST(F64, StaysWithinItsUlps) {
  for (const Accuracy& row : kAccuracy) {
    SCOPED_TRACE(row.name);
    double worst = 0;
    double worst_x = 0;
    for (uint64_t i = 0; i < ACTSERVE_F64_SAMPLES / row.thinned; ++i) {
      const double x = Sample(i, row.low, row.high);
      if (std::isnan(x)) continue;
      const Real want = row.reference(x);
      double scale = want.ToDouble();
      if (row.largest_term != nullptr) {
        scale = Max(Abs(want), Abs(row.largest_term(x))).ToDouble();
      }
      const double error = ErrorInUlps(row.function(x), want, scale);
      if (error > worst) worst_x = x;
      if (error > worst) worst = error;
    }

    EXPECT_LE(worst, row.max_ulp) << "at " << worst_x;
    if (PrintUlps()) {
      std::printf("%-16s [%g, %g] %.3f ulp at %a\n", row.name, row.low,
                  row.high, worst, worst_x);
    }
  }
}

struct Special {
  const char* name;
  double (*function)(double);
  double at_plus_infinity;
  double at_minus_infinity;
  double at_plus_zero;
  double at_minus_zero;
};

const double kLn2 = std::log(2.0);
const double kPi = 0x1.921fb54442d18p+1;
const double kHalfPi = 0x1.921fb54442d18p+0;
// 1/sqrt(2 pi).
const double kPdf0 = 0x1.9884533d43651p-2;

const Special kSpecial[] = {
    {"exp", actserve_exp_f64, kInf, 0, 1, 1},
    {"exp2", actserve_exp2_f64, kInf, 0, 1, 1},
    {"expm1", actserve_expm1_f64, kInf, -1, 0.0, -0.0},
    {"log", actserve_log_f64, kInf, kNaN, -kInf, -kInf},
    {"log2", actserve_log2_f64, kInf, kNaN, -kInf, -kInf},
    {"log10", actserve_log10_f64, kInf, kNaN, -kInf, -kInf},
    {"log1p", actserve_log1p_f64, kInf, kNaN, 0.0, -0.0},
    {"tanh", actserve_tanh_f64, 1, -1, 0.0, -0.0},
    {"tanhshrink", actserve_tanhshrink_f64, kInf, -kInf, 0.0, -0.0},
    {"sech2", actserve_sech2_f64, 0, 0, 1, 1},
    {"sigmoid", actserve_sigmoid_f64, 1, 0, 0.5, 0.5},
    {"sigmoid_grad", actserve_sigmoid_grad_f64, 0, 0, 0.25, 0.25},
    {"softplus", actserve_softplus_f64, kInf, 0, kLn2, kLn2},
    {"logsigmoid", actserve_logsigmoid_f64, -0.0, -kInf, -kLn2, -kLn2},
    {"silu", actserve_silu_f64, kInf, -0.0, 0.0, -0.0},
    {"silu_grad", actserve_silu_grad_f64, 1, -0.0, 0.5, 0.5},
    {"erf", actserve_erf_f64, 1, -1, 0.0, -0.0},
    {"erfc", actserve_erfc_f64, 0, 2, 1, 1},
    {"normcdf", actserve_normcdf_f64, 1, 0, 0.5, 0.5},
    {"normpdf", actserve_normpdf_f64, 0, 0, kPdf0, kPdf0},
    {"exp_minus_square", actserve_exp_minus_square_f64, 0, 0, 1, 1},
    {"gelu", actserve_gelu_f64, kInf, -0.0, 0.0, -0.0},
    {"gelu_grad", actserve_gelu_grad_f64, 1, -0.0, 0.5, 0.5},
    {"gelu_tanh", actserve_gelu_tanh_f64, kInf, -0.0, 0.0, -0.0},
    {"gelu_tanh_grad", actserve_gelu_tanh_grad_f64, 1, -0.0, 0.5, 0.5},
    {"mish", actserve_mish_f64, kInf, -0.0, 0.0, -0.0},
    {"mish_grad", actserve_mish_grad_f64, 1, -0.0, 0.6, 0.6},
    {"sin", actserve_sin_f64, kNaN, kNaN, 0.0, -0.0},
    {"cos", actserve_cos_f64, kNaN, kNaN, 1, 1},
    {"tan", actserve_tan_f64, kNaN, kNaN, 0.0, -0.0},
    {"asin", actserve_asin_f64, kNaN, kNaN, 0.0, -0.0},
    {"acos", actserve_acos_f64, kNaN, kNaN, kHalfPi, kHalfPi},
    {"atan", actserve_atan_f64, kHalfPi, -kHalfPi, 0.0, -0.0},
    {"sinh", actserve_sinh_f64, kInf, -kInf, 0.0, -0.0},
    {"cosh", actserve_cosh_f64, kInf, kInf, 1, 1},
    {"asinh", actserve_asinh_f64, kInf, -kInf, 0.0, -0.0},
    {"acosh", actserve_acosh_f64, kInf, kNaN, kNaN, kNaN},
    {"atanh", actserve_atanh_f64, kNaN, kNaN, 0.0, -0.0},
    {"floormod1", actserve_floormod1_f64, kNaN, kNaN, 0.0, 0.0},
};

float ToBf16(double x) {
  return actserve_bf16_bits_to_f32(actserve_f64_to_bf16_bits(x));
}
float ToF16(double x) {
  return actserve_f16_bits_to_f32(actserve_f64_to_f16_bits(x));
}
// Whether the narrow value at `x` is not the correctly rounded one, although
// some double would have rounded to it: x/2 + x*x/4 of a tiny x is a tie for
// every double. The limits and the sign of zero are HasItsLimits' affair.
bool Misrounds(const Accuracy& row, double x, float (*narrow)(double)) {
  const double got = row.function(x);
  const Real exact = row.reference(x);
  const float want = narrow(exact.ToOddDouble());
  const bool same =
      narrow(got) == want || (std::isnan(got) && std::isnan(want));
  return std::isfinite(x) && !same && got != exact.ToDouble();
}

// A 16-bit value is defined as the double function's, rounded once: which is
// the function's own, correctly rounded, if double is close enough.
TEST(F64, RoundsCorrectlyTo16Bits) {
  const int stride = ACTSERVE_F64_SAMPLES < 100000 ? 251 : 1;
  for (const Accuracy& row : kAccuracy) {
    if (row.thinned > 1) continue;  // The function has another row.
    SCOPED_TRACE(row.name);
    for (int i = 0; i < 1 << 16; i += stride) {
      const auto bits = static_cast<uint16_t>(i);
      const double bf16 = actserve_bf16_bits_to_f32(bits);
      const double f16 = actserve_f16_bits_to_f32(bits);

      EXPECT_FALSE(Misrounds(row, bf16, ToBf16)) << "bfloat16 " << bf16;
      EXPECT_FALSE(Misrounds(row, f16, ToF16)) << "float16 " << f16;
    }
  }
}

TEST(F64, PowStaysWithinItsUlp) {
  double worst = 0;
  for (uint64_t i = 0; i < ACTSERVE_F64_SAMPLES; ++i) {
    // x of any exponent or near 1, y such that most results are finite.
    const double x =
        std::fabs(i % 4 < 2 ? Sample(2 * i, 0, 0) : Sample(2 * i + 1, 0, 3));
    const double y = Sample(2 * i + 1, -1, 1) * 760 / std::log(x);
    if (std::isnan(x) || std::isnan(y)) continue;

    const Real want = Real::Apply(mpfr_pow, x, y);
    const double error =
        ErrorInUlps(actserve_pow_f64(x, y), want, want.ToDouble());
    EXPECT_LE(error, 0.75) << x << " to the " << y;
    worst = std::max(worst, error);
  }
  if (PrintUlps()) std::printf("pow %.3f ulp\n", worst);
}

TEST(F64, PowHasCsSpecialValues) {
  const double values[] = {0.0, kMinSubnormal, 0.5,        1,    1.5,  2,
                           3,   1e18,          0x1p53 - 1, kMax, kInf, kNaN};
  for (double x : values) {
    for (double y : values) {
      for (int signs = 0; signs < 4; ++signs) {
        const double sx = signs % 2 == 0 ? x : -x;
        const double sy = signs / 2 == 0 ? y : -y;
        SCOPED_TRACE(::testing::Message() << sx << " to the " << sy);

        const double want = std::pow(sx, sy);
        const bool exact = want == 0 || std::fabs(want) == 1 ||
                           std::isinf(want) || std::isnan(want);
        if (exact) {
          ExpectSame(actserve_pow_f64(sx, sy), want);
        } else {
          EXPECT_DOUBLE_EQ(actserve_pow_f64(sx, sy), want);
        }
      }
    }
  }
}

TEST(F64, Atan2StaysWithinItsUlp) {
  double worst = 0;
  for (uint64_t i = 0; i < ACTSERVE_F64_SAMPLES; ++i) {
    // Any two doubles, and pairs of comparable size.
    const double x = Sample(2 * i, 0, 0);
    const double y = i % 2 == 0 ? Sample(2 * i + 1000000, 0, 0)
                                : x * Sample(2 * i + 1, -4, 4);
    if (std::isnan(x) || std::isnan(y)) continue;

    const Real want = Real::Apply(mpfr_atan2, y, x);
    const double error =
        ErrorInUlps(actserve_atan2_f64(y, x), want, want.ToDouble());
    EXPECT_LE(error, 0.75) << "atan2(" << y << ", " << x << ")";
    worst = std::max(worst, error);
  }
  if (PrintUlps()) std::printf("atan2 %.3f ulp\n", worst);
}

TEST(F64, Atan2HasCsSpecialValues) {
  const double values[] = {0.0, kMinSubnormal, 1, kMax, kInf, kNaN};
  for (double y : values) {
    for (double x : values) {
      for (int signs = 0; signs < 4; ++signs) {
        const double sy = signs % 2 == 0 ? y : -y;
        const double sx = signs / 2 == 0 ? x : -x;
        SCOPED_TRACE(::testing::Message() << "atan2(" << sy << ", " << sx);

        ExpectSame(actserve_atan2_f64(sy, sx), std::atan2(sy, sx));
      }
    }
  }
}

TEST(F64, HasItsLimits) {
  for (const Special& row : kSpecial) {
    SCOPED_TRACE(row.name);

    ExpectSame(row.function(kNaN), kNaN);
    ExpectSame(row.function(-kNaN), kNaN);
    ExpectSame(row.function(kInf), row.at_plus_infinity);
    ExpectSame(row.function(-kInf), row.at_minus_infinity);
    ExpectSame(row.function(0.0), row.at_plus_zero);
    ExpectSame(row.function(-0.0), row.at_minus_zero);
  }
}

TEST(F64, HasItsBoundaries) {
  struct Case {
    const char* name;
    double (*function)(double);
    double x;
    double want;
  };
  const Case cases[] = {
      {"exp", actserve_exp_f64, 0x1.62e42fefa39efp+9, 0x1.fffffffffff2ap+1023},
      {"exp", actserve_exp_f64, 0x1.62e42fefa39f0p+9, kInf},
      {"exp", actserve_exp_f64, -0x1.74910d52d3051p+9, kMinSubnormal},
      {"exp", actserve_exp_f64, -0x1.74910d52d3052p+9, 0},
      {"exp", actserve_exp_f64, kMinSubnormal, 1},
      {"exp2", actserve_exp2_f64, 1024, kInf},
      {"exp2", actserve_exp2_f64, -1075, 0},
      {"expm1", actserve_expm1_f64, 0x1.62e42fefa39f0p+9, kInf},
      {"expm1", actserve_expm1_f64, kMinSubnormal, kMinSubnormal},
      {"log", actserve_log_f64, kMinSubnormal, -0x1.74385446d71c3p+9},
      {"log", actserve_log_f64, kMax, 0x1.62e42fefa39efp+9},
      {"log", actserve_log_f64, 1, 0.0},
      {"log", actserve_log_f64, -kMinSubnormal, kNaN},
      {"log1p", actserve_log1p_f64, -1, -kInf},
      {"log1p", actserve_log1p_f64, -0x1.0000000000001p0, kNaN},
      {"log1p", actserve_log1p_f64, kMinSubnormal, kMinSubnormal},
      {"log1p", actserve_log1p_f64, kMax, 0x1.62e42fefa39efp+9},
      {"tanh", actserve_tanh_f64, kMinSubnormal, kMinSubnormal},
      {"tanh", actserve_tanh_f64, 20, 1},
      {"tanhshrink", actserve_tanhshrink_f64, kMax, kMax},
      {"softplus", actserve_softplus_f64, kMax, kMax},
      {"silu", actserve_silu_f64, kMax, kMax},
      {"silu", actserve_silu_f64, -kMax, -0.0},
      {"mish", actserve_mish_f64, kMax, kMax},
      {"mish", actserve_mish_f64, -kMax, -0.0},
      {"gelu", actserve_gelu_f64, kMax, kMax},
      {"gelu", actserve_gelu_f64, -kMax, -0.0},
      {"gelu_tanh", actserve_gelu_tanh_f64, kMax, kMax},
      {"gelu_tanh", actserve_gelu_tanh_f64, -kMax, -0.0},
      {"erf", actserve_erf_f64, 6, 1},
      {"sin", actserve_sin_f64, kMinSubnormal, kMinSubnormal},
      {"sin", actserve_sin_f64, kMax, 0x1.452fc98b34e97p-8},
      {"tan", actserve_tan_f64, kMinSubnormal, kMinSubnormal},
      {"asin", actserve_asin_f64, kMinSubnormal, kMinSubnormal},
      {"asin", actserve_asin_f64, 1, kHalfPi},
      {"asin", actserve_asin_f64, -1, -kHalfPi},
      {"asin", actserve_asin_f64, 0x1.0000000000001p0, kNaN},
      {"acos", actserve_acos_f64, 1, 0.0},
      {"acos", actserve_acos_f64, -1, kPi},
      {"acos", actserve_acos_f64, -0x1.0000000000001p0, kNaN},
      {"atan", actserve_atan_f64, kMinSubnormal, kMinSubnormal},
      {"atan", actserve_atan_f64, kMax, kHalfPi},
      {"sinh", actserve_sinh_f64, kMinSubnormal, kMinSubnormal},
      {"sinh", actserve_sinh_f64, -711, -kInf},
      {"cosh", actserve_cosh_f64, -711, kInf},
      {"asinh", actserve_asinh_f64, kMinSubnormal, kMinSubnormal},
      {"asinh", actserve_asinh_f64, -kMax, -0x1.633ce8fb9f87ep+9},
      {"acosh", actserve_acosh_f64, 1, 0.0},
      {"acosh", actserve_acosh_f64, 0x1.fffffffffffffp-1, kNaN},
      {"acosh", actserve_acosh_f64, kMax, 0x1.633ce8fb9f87ep+9},
      {"atanh", actserve_atanh_f64, kMinSubnormal, kMinSubnormal},
      {"atanh", actserve_atanh_f64, 1, kInf},
      {"atanh", actserve_atanh_f64, -1, -kInf},
      {"atanh", actserve_atanh_f64, 0x1.0000000000001p0, kNaN},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(::testing::Message() << c.name << " at " << c.x);

    ExpectSame(c.function(c.x), c.want);
  }
}

// fmod(x, y) as C has it: glibc's is exact.
TEST(F64, FmodIsExactForAllPairs) {
  for (uint64_t i = 0; i < 10 * ACTSERVE_F64_SAMPLES; ++i) {
    const double x = Sample(2 * i, 0, 0);
    // Any divisor, one of everyday size, or one within 2^64 of x, where the
    // quotient has few bits.
    const uint64_t j = 2 * i + 200000001;
    const double near = x * Sample(j, -0x1p-32, 0x1p-32);
    const double y = i % 3 == 0   ? Sample(j + 1, 0, 0)
                     : i % 3 == 1 ? Sample(j, -1000, 1000)
                                  : near;

    ExpectSame(actserve_fmod_f64(x, y), std::fmod(x, y));
  }
}

TEST(F64, FloormodAndFloordivFollowPython) {
  struct Case {
    double x, y, mod, div;
  };
  const Case cases[] = {
      {5.5, 2, 1.5, 2},
      {-5.5, 2, 0.5, -3},
      {5.5, -2, -0.5, -3},
      {-5.5, -2, -1.5, 2},
      {-1e-20, 1, 1, -1},
      {4, -2, -0.0, -2},
      {-4, 2, 0.0, -2},
      {0.0, -3, -0.0, -0.0},
      {-0.0, 3, 0.0, -0.0},
      {1, 0.1, 0.09999999999999995, 9},
      {1, -kInf, -kInf, -1},
      {-1, kInf, kInf, -1},
      {1, kInf, 1, 0},
      {kInf, 2, kNaN, kNaN},
      {1, 0, kNaN, kInf},
      {-1, 0, kNaN, -kInf},
      {0.0, 0, kNaN, kNaN},
      {kMax, kMinSubnormal, 0, kInf},
      {5 * kMinSubnormal, 3 * kMinSubnormal, 2 * kMinSubnormal, 1},
      {kNaN, 1, kNaN, kNaN},
      {1, kNaN, kNaN, kNaN},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(::testing::Message() << c.x << " and " << c.y);

    ExpectSame(actserve_floormod_f64(c.x, c.y), c.mod);
    ExpectSame(actserve_floordiv_f64(c.x, c.y), c.div);
  }
}

TEST(F64, Floormod1EqualsFloormodByOne) {
  for (uint64_t i = 0; i < 10 * ACTSERVE_F64_SAMPLES; ++i) {
    const double x = Sample(i, -3, 3);

    ExpectSame(actserve_floormod1_f64(x), actserve_floormod_f64(x, 1.0));
  }
}

TEST(F64, PowersOfTwoAreExact) {
  for (int n = -1074; n < 1024; ++n) {
    const double power = std::ldexp(1.0, n);

    ExpectSame(actserve_exp2_f64(n), power);
    ExpectSame(actserve_log2_f64(power), n);
  }
}

}  // namespace
}  // namespace actserve
