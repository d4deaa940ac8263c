// The float functions against long double on dense samples and against MPFR on
// thin ones. f32_full_test takes all floats.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include "kernels/math/math.h"
#include "kernels/math/reference/real.h"
#include "kernels/math/testing/f32_bounds.h"

namespace actserve {
namespace {

using testing::Real;
using Wide = long double;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kMax = std::numeric_limits<float>::max();
constexpr float kTiny = std::numeric_limits<float>::denorm_min();

uint32_t Bits(float x) { return __builtin_bit_cast(uint32_t, x); }
float FromBits(uint32_t bits) { return __builtin_bit_cast(float, bits); }

// Equal bits, or both NaN.
bool Same(float a, float b) {
  return Bits(a) == Bits(b) || (std::isnan(a) && std::isnan(b));
}

// ---- References: one formula each, in long double and in MPFR -------------
// (testing/real.h has the same names for Real).

Wide Exp(Wide x) { return std::exp(x); }
Wide Exp2(Wide x) { return std::exp2(x); }
Wide Expm1(Wide x) { return std::expm1(x); }
Wide Log(Wide x) { return std::log(x); }
Wide Log2(Wide x) { return std::log2(x); }
Wide Log10(Wide x) { return std::log10(x); }
Wide Log1p(Wide x) { return std::log1p(x); }
Wide Sin(Wide x) { return std::sin(x); }
Wide Cos(Wide x) { return std::cos(x); }
Wide Tan(Wide x) { return std::tan(x); }
Wide Asin(Wide x) { return std::asin(x); }
Wide Acos(Wide x) { return std::acos(x); }
Wide Atan(Wide x) { return std::atan(x); }
Wide Sinh(Wide x) { return std::sinh(x); }
Wide Cosh(Wide x) { return std::cosh(x); }
Wide Tanh(Wide x) { return std::tanh(x); }
Wide Asinh(Wide x) { return std::asinh(x); }
Wide Acosh(Wide x) { return std::acosh(x); }
Wide Atanh(Wide x) { return std::atanh(x); }
Wide Erf(Wide x) { return std::erf(x); }
Wide Erfc(Wide x) { return std::erfc(x); }
Wide Sqrt(Wide x) { return std::sqrt(x); }

template <typename T>
T Pi();
template <>
Wide Pi<Wide>() {
  return 3.14159265358979323846264338327950288L;
}
template <>
Real Pi<Real>() {
  return Real::Pi();
}

template <typename T>
T AbsOf(const T& x) {
  return x < T(0.0) ? -x : x;
}
template <typename T>
T MaxOf(const T& a, const T& b) {
  return a < b ? b : a;
}

template <typename T>
T Sigmoid(const T& x) {
  return 1.0 / (1.0 + Exp(-x));
}
template <typename T>
T SigmoidGrad(const T& x) {
  return Sigmoid(x) * Sigmoid(-x);
}
template <typename T>
T Softplus(const T& x) {
  return MaxOf(x, T(0.0)) + Log1p(Exp(-AbsOf(x)));
}
template <typename T>
T LogSigmoid(const T& x) {
  return -Softplus(-x);
}
template <typename T>
T Sech2(const T& x) {
  return 4.0 * SigmoidGrad(2.0 * x);
}
// x - tanh(x), by its series where the difference would lose bits.
template <typename T>
T Tanhshrink(const T& x) {
  const T z = x * x;
  if (AbsOf(x) < 0x1p-14) {
    return x * z / 3.0 * (1.0 - z * 2.0 / 5.0 + z * z * 17.0 / 105.0);
  }
  return x - Tanh(x);
}
template <typename T>
T NormCdf(const T& x) {
  return Erfc(-x / Sqrt(T(2.0))) / 2.0;
}
template <typename T>
T NormPdf(const T& x) {
  return Exp(-x * x / 2.0) / Sqrt(2.0 * Pi<T>());
}
template <typename T>
T ExpMinusSquare(const T& x) {
  return Exp(-x * x);
}
template <typename T>
T Silu(const T& x) {
  return x * Sigmoid(x);
}
template <typename T>
T SiluTerm(const T& x) {
  return x * SigmoidGrad(x);
}
template <typename T>
T SiluLargest(const T& x) {
  return MaxOf(T(Sigmoid(x)), T(AbsOf(T(SiluTerm(x)))));
}
template <typename T>
T SiluGrad(const T& x) {
  return Sigmoid(x) + SiluTerm(x);
}
template <typename T>
T Gelu(const T& x) {
  return x * NormCdf(x);
}
template <typename T>
T GeluTerm(const T& x) {
  return x * NormPdf(x);
}
template <typename T>
T GeluLargest(const T& x) {
  return MaxOf(T(NormCdf(x)), T(AbsOf(T(GeluTerm(x)))));
}
template <typename T>
T GeluGrad(const T& x) {
  return NormCdf(x) + GeluTerm(x);
}
template <typename T>
T GeluTanhArgument(const T& x) {
  const T c = T(44715.0) / 1000000.0;
  return 2.0 * Sqrt(2.0 / Pi<T>()) * (x + c * x * x * x);
}
template <typename T>
T GeluTanh(const T& x) {
  return x * Sigmoid(GeluTanhArgument(x));
}
template <typename T>
T GeluTanhTerm(const T& x) {
  const T c = T(44715.0) / 1000000.0;
  const T slope = 2.0 * Sqrt(2.0 / Pi<T>()) * (1.0 + 3.0 * c * x * x);
  return x * slope * SigmoidGrad(GeluTanhArgument(x));
}
template <typename T>
T GeluTanhLargest(const T& x) {
  return MaxOf(T(Sigmoid(GeluTanhArgument(x))), T(AbsOf(T(GeluTanhTerm(x)))));
}
template <typename T>
T GeluTanhGrad(const T& x) {
  return Sigmoid(GeluTanhArgument(x)) + GeluTanhTerm(x);
}
template <typename T>
T Mish(const T& x) {
  return x * Tanh(Softplus(x));
}
template <typename T>
T MishTerm(const T& x) {
  return x * Sech2(Softplus(x)) * Sigmoid(x);
}
template <typename T>
T MishLargest(const T& x) {
  return MaxOf(T(Tanh(Softplus(x))), T(AbsOf(T(MishTerm(x)))));
}
template <typename T>
T MishGrad(const T& x) {
  return Tanh(Softplus(x)) + MishTerm(x);
}

struct Reference {
  Wide (*wide)(const Wide&);
  Real (*real)(const Real&);
};

struct Accuracy {
  const char* name;
  float (*function)(float);
  Reference reference;
  // Where the function is a sum with a root: the larger of its two terms, whose
  // ulps count instead.
  Reference largest_term = {nullptr, nullptr};
};

#define ACTSERVE_BOTH(f)                           \
  Reference {                                      \
    [](const Wide& x) -> Wide { return f(x); },    \
        [](const Real& x) -> Real { return f(x); } \
  }

const Accuracy kAccuracy[] = {
    {"exp", actserve_exp_f32, ACTSERVE_BOTH(Exp)},
    {"exp2", actserve_exp2_f32, ACTSERVE_BOTH(Exp2)},
    {"expm1", actserve_expm1_f32, ACTSERVE_BOTH(Expm1)},
    {"exp_minus_square", actserve_exp_minus_square_f32,
     ACTSERVE_BOTH(ExpMinusSquare)},
    {"log", actserve_log_f32, ACTSERVE_BOTH(Log)},
    {"log2", actserve_log2_f32, ACTSERVE_BOTH(Log2)},
    {"log10", actserve_log10_f32, ACTSERVE_BOTH(Log10)},
    {"log1p", actserve_log1p_f32, ACTSERVE_BOTH(Log1p)},
    {"sin", actserve_sin_f32, ACTSERVE_BOTH(Sin)},
    {"cos", actserve_cos_f32, ACTSERVE_BOTH(Cos)},
    {"tan", actserve_tan_f32, ACTSERVE_BOTH(Tan)},
    {"asin", actserve_asin_f32, ACTSERVE_BOTH(Asin)},
    {"acos", actserve_acos_f32, ACTSERVE_BOTH(Acos)},
    {"atan", actserve_atan_f32, ACTSERVE_BOTH(Atan)},
    {"sinh", actserve_sinh_f32, ACTSERVE_BOTH(Sinh)},
    {"cosh", actserve_cosh_f32, ACTSERVE_BOTH(Cosh)},
    {"tanh", actserve_tanh_f32, ACTSERVE_BOTH(Tanh)},
    {"asinh", actserve_asinh_f32, ACTSERVE_BOTH(Asinh)},
    {"acosh", actserve_acosh_f32, ACTSERVE_BOTH(Acosh)},
    {"atanh", actserve_atanh_f32, ACTSERVE_BOTH(Atanh)},
    {"erf", actserve_erf_f32, ACTSERVE_BOTH(Erf)},
    {"erfc", actserve_erfc_f32, ACTSERVE_BOTH(Erfc)},
    {"sigmoid", actserve_sigmoid_f32, ACTSERVE_BOTH(Sigmoid)},
    {"sigmoid_grad", actserve_sigmoid_grad_f32, ACTSERVE_BOTH(SigmoidGrad)},
    {"softplus", actserve_softplus_f32, ACTSERVE_BOTH(Softplus)},
    {"logsigmoid", actserve_logsigmoid_f32, ACTSERVE_BOTH(LogSigmoid)},
    {"sech2", actserve_sech2_f32, ACTSERVE_BOTH(Sech2)},
    {"tanhshrink", actserve_tanhshrink_f32, ACTSERVE_BOTH(Tanhshrink)},
    {"normcdf", actserve_normcdf_f32, ACTSERVE_BOTH(NormCdf)},
    {"normpdf", actserve_normpdf_f32, ACTSERVE_BOTH(NormPdf)},
    {"silu", actserve_silu_f32, ACTSERVE_BOTH(Silu)},
    {"silu_grad", actserve_silu_grad_f32, ACTSERVE_BOTH(SiluGrad),
     ACTSERVE_BOTH(SiluLargest)},
    {"gelu", actserve_gelu_f32, ACTSERVE_BOTH(Gelu)},
    {"gelu_grad", actserve_gelu_grad_f32, ACTSERVE_BOTH(GeluGrad),
     ACTSERVE_BOTH(GeluLargest)},
    {"gelu_tanh", actserve_gelu_tanh_f32, ACTSERVE_BOTH(GeluTanh)},
    {"gelu_tanh_grad", actserve_gelu_tanh_grad_f32, ACTSERVE_BOTH(GeluTanhGrad),
     ACTSERVE_BOTH(GeluTanhLargest)},
    {"mish", actserve_mish_f32, ACTSERVE_BOTH(Mish)},
    {"mish_grad", actserve_mish_grad_f32, ACTSERVE_BOTH(MishGrad),
     ACTSERVE_BOTH(MishLargest)},
};
#undef ACTSERVE_BOTH

// ---- Samples and errors --------------------------------------------------

// Calls visit(x) for 512 floats of each sign and exponent, then for 200,001
// points of [-110, 110], where the functions have their shape.
template <typename Visit>
void VisitSample(Visit visit) {
  for (uint32_t top = 0; top < 512; ++top) {
    for (uint32_t i = 0; i < 512; ++i) {
      visit(FromBits(top << 23 | ((i * 16411 + top * 977) & 0x7fffff)));
    }
  }
  for (int i = -100000; i <= 100000; ++i) {
    visit(static_cast<float>(i) * 0.0011f);
  }
}

// The distance of neighboring floats at `x`.
Wide Ulp(Wide x) {
  const Wide a = std::min(std::fabs(x), static_cast<Wide>(kMax));
  return a < 0x1p-126L ? 0x1p-149L : std::ldexp(1.0L, std::ilogb(a) - 23);
}

// |got - want| in ulps; an infinity counts as 2^128.
double ErrorInUlps(float got, Wide want, Wide ulp) {
  if (std::isnan(got) || std::isnan(want)) {
    return std::isnan(got) && std::isnan(want) ? 0 : kInf;
  }
  if (Same(got, static_cast<float>(want)) && std::isinf(got)) return 0;
  const Wide value = std::isinf(got) ? std::copysign(0x1p128L, got) : got;
  return static_cast<double>(std::fabs(value - want) / ulp);
}
double ErrorInUlps(float got, const Real& want, Wide ulp) {
  if (std::isnan(got) || want.IsNaN()) {
    return std::isnan(got) && want.IsNaN() ? 0 : kInf;
  }
  const double value = std::isinf(got) ? std::copysign(0x1p128, got) : got;
  if (value == want.ToDouble()) return 0;
  if (std::isinf(got) && std::isinf(static_cast<float>(want.ToDouble()))) {
    return 0;
  }
  return (AbsOf(Real(value) - want) / Real(static_cast<double>(ulp)))
      .ToDouble();
}

class F32Accuracy : public ::testing::TestWithParam<Accuracy> {};

// Long double on every point; MPFR on each 512th and on the worst.
TEST_P(F32Accuracy, StaysWithinItsUlps) {
  const Accuracy& row = GetParam();
  const double bound = testing::F32MaxUlp(row.name);
  double worst = 0;
  float worst_x = 0;
  double worst_real = 0;
  uint64_t count = 0;
  const auto ulp_at = [&row](float x) {
    Wide scale = std::fabs(row.reference.wide(x));
    if (row.largest_term.wide != nullptr) {
      const Wide term = std::fabs(row.largest_term.wide(x));
      if (term > scale) scale = term;
    }
    return Ulp(scale);
  };
  const auto check_real = [&](float x) {
    worst_real = std::max(
        worst_real,
        ErrorInUlps(row.function(x), row.reference.real(x), ulp_at(x)));
  };

  VisitSample([&](float x) {
    const Wide want = row.reference.wide(x);
    const double error = ErrorInUlps(row.function(x), want, ulp_at(x));
    if (error > worst) worst_x = x;
    if (error > worst) worst = error;
    if (++count % 512 == 0 && std::isfinite(x)) check_real(x);
  });
  check_real(worst_x);

  if (std::getenv("ACTSERVE_PRINT_ULPS") != nullptr) {
    std::printf("%-18s %.3f ulp at %a (%.9g)\n", row.name,
                std::max(worst, worst_real), worst_x, worst_x);
  }
  EXPECT_LE(worst, bound) << "at " << worst_x;
  EXPECT_LE(worst_real, bound);
}

INSTANTIATE_TEST_SUITE_P(All, F32Accuracy, ::testing::ValuesIn(kAccuracy),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace actserve
