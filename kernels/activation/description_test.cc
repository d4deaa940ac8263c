#include "kernels/activation/description.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"

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

TEST(Description, TellsWhatReadsRows) {
  const auto rows =
      *Activation::Create("def f(x):\n    return x - rowmax(x)\n", {}, nullptr);

  EXPECT_TRUE(Summarize(*rows).reads_rows);
  EXPECT_FALSE(Summarize(*LeakyRelu()).reads_rows);
}

TEST(Description, CutsLongGradients) {
  const auto activation = LeakyRelu();
  const std::string of_x = *activation->GradientText("x");

  const auto each = DescribeGradients(*activation, {.each = of_x.size() - 1});
  const auto together =
      DescribeGradients(*activation, {.together = of_x.size()});

  EXPECT_TRUE(each[0].text->ends_with(absl::StrCat(
      "\n# cut: the rest is beyond ", of_x.size() - 1, " bytes\n")));
  EXPECT_EQ(*together[0].text, of_x);
  EXPECT_EQ(*together[1].text,
            absl::StrCat("# cut: the gradients before it have ", of_x.size(),
                         " bytes\n"));
}

}  // namespace
}  // namespace actserve
