// x s(b x) and its derivative, of both types, against MPFR: for x and b of any
// size, where the product of the two rounds, where exp of it is no float, and
// at infinities.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>

#include "kernels/math/math.h"
#include "kernels/math/reference/real.h"

namespace actserve {
namespace {

using testing::Abs;
using testing::Exp;
using testing::Max;
using testing::Real;

Real Sigmoid(const Real& x) { return Real(1) / (Real(1) + Exp(-x)); }

template <typename T>
struct Functions;

template <>
struct Functions<float> {
  static float Value(float x, float b) {
    return actserve_scaled_silu_f32(x, b);
  }
  static float Gradient(float x, float b) {
    return actserve_scaled_silu_grad_f32(x, b);
  }
};

template <>
struct Functions<double> {
  static double Value(double x, double b) {
    return actserve_scaled_silu_f64(x, b);
  }
  static double Gradient(double x, double b) {
    return actserve_scaled_silu_grad_f64(x, b);
  }
};

template <typename T>
class ScaledSilu : public ::testing::Test {
 protected:
  using Limits = std::numeric_limits<T>;

  static Real Ulp(const Real& at) {
    const double size = std::max<double>(std::fabs(at.ToDouble()),
                                         static_cast<double>(Limits::min()));
    return Real(std::ldexp(1.0, std::ilogb(size))) * Real(Limits::epsilon());
  }

  // Calls visit(x, b): x of any exponent, b x from where the function is 0 to
  // where it is x.
  template <typename Visit>
  static void VisitPairs(Visit visit) {
    std::mt19937_64 random(1);
    std::uniform_real_distribution<double> unit(-1, 1);
    const double range = 1.1 * (Limits::max_exponent - Limits::min_exponent);
    for (int i = 0; i < 60000; ++i) {
      const int exponent =
          i % 3 != 0
              ? static_cast<int>(8 * unit(random))
              : static_cast<int>((Limits::max_exponent - 1) * unit(random));
      const T x = std::ldexp(static_cast<T>(unit(random)), exponent);
      const double v = i % 2 == 0 ? 10 * unit(random) : range * unit(random);
      const T b = static_cast<T>(v / static_cast<double>(x));
      if (std::isfinite(b) && x != 0) visit(x, b);
    }
  }
};

using Types = ::testing::Types<float, double>;
class TypeNames {
 public:
  template <typename T>
  static std::string GetName(int) {
    return sizeof(T) == sizeof(float) ? "float32" : "float64";
  }
};
TYPED_TEST_SUITE(ScaledSilu, Types, TypeNames);

bool PrintUlps() { return std::getenv("ACTSERVE_PRINT_ULPS") != nullptr; }

TYPED_TEST(ScaledSilu, StaysWithinItsUlps) {
  double worst = 0;
  this->VisitPairs([&](TypeParam x, TypeParam b) {
    const Real want = Real(x) * Sigmoid(Real(b) * Real(x));
    const Real got = Functions<TypeParam>::Value(x, b);
    const double error = (Abs(got - want) / this->Ulp(want)).ToDouble();
    ASSERT_LE(error, 2.6) << x << ", " << b;
    worst = std::max(worst, error);
  });
  if (PrintUlps()) std::printf("scaled_silu %.3f ulp\n", worst);
}

// Of the result, or the larger of its two terms.
TYPED_TEST(ScaledSilu, GradientStaysWithinItsUlps) {
  double worst = 0;
  this->VisitPairs([&](TypeParam x, TypeParam b) {
    const Real v = Real(b) * Real(x);
    const Real left = Sigmoid(v), right = v * left * Sigmoid(-v);
    const Real got = Functions<TypeParam>::Gradient(x, b);
    const Real want = left + right;
    const Real ulp = this->Ulp(Max(Abs(want), Max(Abs(left), Abs(right))));
    const double error = (Abs(got - want) / ulp).ToDouble();
    ASSERT_LE(error, 3.2) << x << ", " << b;
    worst = std::max(worst, error);
  });
  if (PrintUlps()) std::printf("scaled_silu_grad %.3f ulp\n", worst);
}

TYPED_TEST(ScaledSilu, HasItsLimits) {
  constexpr auto kInf = std::numeric_limits<TypeParam>::infinity();
  constexpr auto kNaN = std::numeric_limits<TypeParam>::quiet_NaN();
  constexpr auto kMax = std::numeric_limits<TypeParam>::max();
  struct Row {
    TypeParam x, b, value, gradient;
  };
  const Row rows[] = {
      {0, 2, 0, 0.5},        {-TypeParam{0}, 2, -TypeParam{0}, 0.5},
      {kInf, 2, kInf, 1},    {-kInf, 2, -TypeParam{0}, -TypeParam{0}},
      {kInf, -2, 0, 0},      {-kInf, -2, -kInf, 1},
      {3, kInf, 3, 1},       {-3, kInf, -TypeParam{0}, 0},
      {kMax, 2, kMax, 1},    {-kMax, 2, -TypeParam{0}, 0},
      {3, 0, 1.5, 0.5},      {kMax, 0, kMax / 2, 0.5},
      {0, kInf, kNaN, kNaN}, {kInf, 0, kNaN, kNaN},
      {kNaN, 1, kNaN, kNaN}, {1, kNaN, kNaN, kNaN},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(::testing::Message() << row.x << ", " << row.b);
    const TypeParam value = Functions<TypeParam>::Value(row.x, row.b);
    const TypeParam gradient = Functions<TypeParam>::Gradient(row.x, row.b);
    if (std::isnan(row.value)) {
      EXPECT_TRUE(std::isnan(value)) << value;
      EXPECT_TRUE(std::isnan(gradient)) << gradient;
      continue;
    }
    EXPECT_EQ(value, row.value);
    EXPECT_EQ(std::signbit(value), std::signbit(row.value));
    EXPECT_EQ(gradient, row.gradient);
  }
}

}  // namespace
}  // namespace actserve
