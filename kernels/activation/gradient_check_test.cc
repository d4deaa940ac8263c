#include "kernels/activation/gradient_check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

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
    // A surrogate is not the derivative.
    if (entry.name.starts_with("spike_")) continue;
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

TEST(GradientCheck, TellsTheDifferenceOfEachInputAndParameter) {
  const GradientCheck check = CheckOf(
      "def f(x, g, a=2.0):\n    return a * x + g\n\n"
      "def f_grad(x, g, dy, a):\n"
      "    return a * dy, dy if g < 20 else 5 * dy, (x + 1) * dy\n");

  ASSERT_EQ(check.variables.size(), 3);
  const std::vector<std::string> inputs = {"x", "g"};
  EXPECT_EQ(check.variables[0].name, "x");
  EXPECT_EQ(TellDifference(check.variables[0], inputs), "");
  const GradientCheck::Variable& g = check.variables[1];
  EXPECT_NEAR(g.max_error, 4, 1e-6);
  ASSERT_EQ(g.inputs.size(), 2);
  EXPECT_GT(g.inputs[1], 20);
  EXPECT_NEAR(g.gradient, 5, 1e-6);
  EXPECT_NEAR(g.difference, 1, 1e-6);
  const GradientCheck::Variable& a = check.variables[2];
  EXPECT_EQ(a.gradient, a.inputs[0] + 1);
  EXPECT_NEAR(a.difference, a.inputs[0], 1e-6);
}

TEST(GradientCheck, TellsWhereInWords) {
  EXPECT_EQ(TellDifference({"x", 1, {-0.5, 2}, 1, 0}, {"x", "g"}),
            "at x = -0.5, g = 2 it is 1, the slope of the function is 0");
  EXPECT_EQ(TellDifference({"x", 1e-6, {-0.5}, 1, 1}, {"x"}), "");
}

TEST(GradientCheck, TellsTheElementOfARow) {
  const GradientCheck check = CheckOf(
      "def f(x, g):\n    return x - rowmean(g)\n\n"
      "def f_grad(x, g, dy):\n"
      "    return dy if x < 20 else 3 * dy, -rowmean(dy)\n");

  ASSERT_EQ(check.variables.size(), 2);
  ASSERT_EQ(check.variables[0].inputs.size(), 2);
  EXPECT_LT(check.variables[1].max_error, 1e-6);
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
