#include "server/message/activation_info.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"

namespace actserve {
namespace {

RegisteredActivation Registered(const std::string& text) {
  auto made = Activation::Create(text, {}, nullptr);
  EXPECT_TRUE(made.ok()) << made.status();
  return RegisteredActivation(*std::move(made), /*builtin=*/false);
}

TEST(ActivationInfo, ASummaryLeavesTheLongPartsOut) {
  const std::string text = "def f(x, a=2.0):\n    'Doc.'\n    return a * x\n";
  const auto activation = Registered(text);

  const v1::Activation bare = Summary(activation, /*with_text=*/false);
  const v1::Activation full = Summary(activation, /*with_text=*/true);

  EXPECT_EQ(bare.id(), activation.id());
  EXPECT_EQ(bare.doc(), "Doc.");
  EXPECT_EQ(bare.inputs(0), "x");
  EXPECT_EQ(bare.parameters(0).default_value(), 2);
  EXPECT_EQ(bare.text(), "");
  EXPECT_EQ(full.text(), text);
  EXPECT_EQ(full.program(), "");
  EXPECT_EQ(full.gradients_size(), 0);
  EXPECT_FALSE(full.has_gradient_check());
}

TEST(ActivationInfo, DetailsHaveGradientsOnRequest) {
  const auto activation = Registered("def f(x, a=2.0):\n    return a * x\n");

  const v1::Activation without = Details(activation, /*with_gradients=*/false);
  const v1::Activation with = Details(activation, /*with_gradients=*/true);

  EXPECT_NE(without.program(), "");
  EXPECT_GT(without.gradient_check().num_points(), 0);
  EXPECT_EQ(without.gradients_size(), 0);
  ASSERT_EQ(with.gradients_size(), 2);
  EXPECT_EQ(with.gradients(0), "def d_f_d_x(x, a=2.0):\n    return a\n");
}

TEST(ActivationInfo, DetailsTellWhereAGradientDiffers) {
  const v1::Activation message =
      Details(Registered("def f(x, a=2.0):\n    return a * x\n\n"
                         "def f_grad(x, dy, a):\n    return 3 * dy, x * dy\n"),
              /*with_gradients=*/false);

  ASSERT_EQ(message.gradient_check().variables_size(), 2);
  const v1::GradientCheck::Variable& x = message.gradient_check().variables(0);
  EXPECT_EQ(x.name(), "x");
  EXPECT_NEAR(x.max_error(), 0.5, 1e-6);
  EXPECT_EQ(x.inputs_size(), 1);
  EXPECT_EQ(x.gradient(), 3);
  EXPECT_NEAR(x.difference(), 2, 1e-6);
  EXPECT_LT(message.gradient_check().variables(1).max_error(), 1e-6);
}

// Its 36 gradients would be megabytes.
TEST(ActivationInfo, GradientsOfAHeavyTextAreCut) {
  std::string text = "def f(a, b, c, d";
  std::string sum = "a + b + c + d";
  for (int i = 0; i < 32; ++i) {
    absl::StrAppend(&text, ", p", i, "=1");
    absl::StrAppend(&sum, " + p", i);
  }
  absl::StrAppend(&text, "):\n    y = ", sum,
                  "\n    for i in range(880):\n        y = sqrt(y)\n"
                  "    return y\n");

  const v1::Activation message = Details(Registered(text), true);

  ASSERT_EQ(message.gradients_size(), 36);
  size_t size_bytes = 0;
  for (const std::string& gradient : message.gradients()) {
    EXPECT_LE(gradient.size(), kGradientTextLimits.each + 80);
    size_bytes += gradient.size();
  }
  EXPECT_LE(size_bytes, kGradientTextLimits.together + 36 * 80);
  EXPECT_EQ(message.gradients(35),
            "# cut: the gradients before it have 262144 bytes\n");
}

// Each of the lines repeats the names: 30 MB from 16 KB.
TEST(ActivationInfo, AProgramOfLongNamesIsCut) {
  const std::string x(7000, 'x');
  const std::string text =
      absl::StrCat("def f(", x, "):\n    y = 1.0\n    for i in range(2000):\n",
                   "        y = y * ", x, " + 0.5\n    return y\n");

  const v1::Activation message = Details(Registered(text), true);

  EXPECT_LE(message.program().size(), kMaxProgramBytes + 80);
  EXPECT_NE(message.program().find("\n# cut: "), std::string::npos);
  EXPECT_LT(message.ByteSizeLong(), size_t{4} << 20);
}

}  // namespace
}  // namespace actserve
