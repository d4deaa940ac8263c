#include "kernels/activation/description.h"

#include <gtest/gtest.h>

#include <memory>

namespace actserve {
namespace {

std::shared_ptr<const Activation> LeakyRelu() {
  auto made = Activation::Create(
      "def f(x, slope=0.25):\n"
      "    'Leaks.'\n"
      "    return x if x > 0 else slope * x\n",
      {}, nullptr);
  EXPECT_TRUE(made.ok()) << made.status();
  return *made;
}

TEST(Description, TellsEverything) {
  const auto activation = LeakyRelu();

  const ActivationDescription got = Describe(*activation);

  EXPECT_EQ(got.id, activation->id());
  EXPECT_EQ(got.name, "f");
  EXPECT_EQ(got.text, activation->text());
  EXPECT_EQ(got.doc, "Leaks.");
  EXPECT_EQ(got.inputs, std::vector<std::string>{"x"});
  ASSERT_EQ(got.parameters.size(), 1);
  EXPECT_EQ(got.parameters[0].name, "slope");
  EXPECT_EQ(got.parameters[0].default_value, 0.25);
  EXPECT_FALSE(got.declared_gradient);
  EXPECT_EQ(got.program, activation->CanonicalText());
  EXPECT_GT(got.gradient_check.num_points, 0);
}

TEST(Description, HasAGradientForEachInputAndParameter) {
  const auto activation = LeakyRelu();

  const ActivationDescription got = Describe(*activation);

  ASSERT_EQ(got.gradients.size(), 2);
  EXPECT_EQ(got.gradients[0].name, "x");
  EXPECT_EQ(got.gradients[1].name, "slope");
  for (const ActivationDescription::Gradient& gradient : got.gradients) {
    ASSERT_TRUE(gradient.text.ok()) << gradient.text.status();
    EXPECT_EQ(*gradient.text, *activation->GradientText(gradient.name));
  }
}

TEST(Description, ASummaryLeavesTheLongPartsOut) {
  const ActivationDescription got = Summarize(*LeakyRelu());

  EXPECT_EQ(got.name, "f");
  EXPECT_TRUE(got.gradients.empty());
  EXPECT_EQ(got.program, "");
  EXPECT_EQ(got.gradient_check.num_points, 0);
}

}  // namespace
}  // namespace actserve
