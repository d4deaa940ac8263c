#include "kernels/activation/gradient_check.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/catalog/catalog.h"

namespace actserve {
namespace {

GradientCheck CheckOf(std::string_view text) {
  const auto activation = Activation::Create(text, {}, nullptr);
  EXPECT_TRUE(activation.ok()) << activation.status();
  return CheckGradient(**activation);
}

TEST(GradientCheck, EveryBuiltInPasses) {
  for (const CatalogEntry& entry : Catalog()) {
    const auto activation = Activation::Create(entry.text, {}, nullptr);
    ASSERT_TRUE(activation.ok()) << activation.status();
    const GradientCheck check = CheckGradient(**activation);

    EXPECT_LT(check.max_error, 1e-8) << entry.name;
    EXPECT_EQ(check.num_nan, 0) << entry.name;
    // Of a function of rows, one row.
    EXPECT_GE(check.num_points, (*activation)->reads_rows() ? 10 : 25)
        << entry.name;
  }
}

TEST(GradientCheck, SeesADeclaredGradientThatDiffers) {
  const GradientCheck check = CheckOf(
      "def f(x):\n    return x * x\n\ndef f_grad(x, dy):\n    return dy * x\n");

  EXPECT_NEAR(check.max_error, 0.5, 1e-6);
}

TEST(GradientCheck, ReportsWhereTheErrorIsLargest) {
  const GradientCheck check = CheckOf(
      "def f(x):\n    return x\n\n"
      "def f_grad(x, dy):\n    return dy if x < 20 else 3 * dy\n");

  EXPECT_NEAR(check.max_error, 2, 1e-6);
  EXPECT_GT(check.worst_input, 20);
}

TEST(GradientCheck, CountsNaNWhereTheFunctionIsFinite) {
  const GradientCheck check = CheckOf(
      "def f(x):\n    return x\n\n"
      "def f_grad(x, dy):\n    return dy * log(x)\n");

  EXPECT_GE(check.num_nan, 15);
}

TEST(GradientCheck, LeavesJumpsAndPolesOut) {
  const GradientCheck check = CheckOf("def f(x):\n    return x - floor(x)\n");

  EXPECT_LT(check.max_error, 1e-8);
}

TEST(GradientCheck, CoversEveryInputAndParameter) {
  const GradientCheck one = CheckOf("def f(x):\n    return x * x\n");
  const GradientCheck three =
      CheckOf("def f(x, g, a=0.5):\n    return x * sigmoid(a * g)\n");

  EXPECT_EQ(three.num_points, 3 * one.num_points);
}

}  // namespace
}  // namespace actserve
