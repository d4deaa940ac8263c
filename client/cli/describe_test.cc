#include "client/cli/describe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"

namespace actserve {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

ActivationDescription LeakyRelu() {
  ActivationDescription activation;
  activation.id = "sha256:1";
  activation.name = "leaky_relu";
  activation.text = "def leaky_relu(x, slope=0.01): ...\n";
  activation.inputs = {"x"};
  activation.parameters = {{"slope", 0.01}};
  return activation;
}

TEST(Describe, TheSignatureHasInputsAndDefaults) {
  EXPECT_EQ(Signature(LeakyRelu()), "leaky_relu(x, slope=0.01)");
}

TEST(Describe, LeavesEmptyPartsOut) {
  EXPECT_EQ(DescriptionText(LeakyRelu()),
            "leaky_relu(x, slope=0.01)\n"
            "sha256:1\n"
            "\n"
            "text:\n"
            "  def leaky_relu(x, slope=0.01): ...\n");
}

TEST(Describe, SaysWhyThereIsNoGradient) {
  ActivationDescription activation = LeakyRelu();
  activation.gradients = {{"x", "def d_x(x): ...\n"},
                          {"slope", absl::InvalidArgumentError("too heavy")}};

  EXPECT_THAT(DescriptionText(activation),
              HasSubstr("\nderived gradient d/dx:\n"
                        "  def d_x(x): ...\n"
                        "\nderived gradient d/dslope:\n"
                        "  none: too heavy\n"));
}

TEST(Describe, TellsThatRowsAreRead) {
  ActivationDescription activation = LeakyRelu();
  activation.reads_rows = true;
  activation.gradients = {{"x", "def d_x(x): ...\n"}};

  EXPECT_THAT(DescriptionText(activation),
              AllOf(HasSubstr("\nsha256:1\n"
                              "reads rows: forward and backward need --axis\n"),
                    HasSubstr("\nderived gradient d(rowsum(y))/dx:\n")));
}

TEST(Describe, TellsWhatTheGradientCheckFound) {
  ActivationDescription activation = LeakyRelu();
  activation.gradient_check = {
      .num_points = 42,
      .max_error = 0.5,
      .worst_input = 1,
      .num_nan = 3,
      .variables = {{"x", 0.5, {1}, 1.5, 1}, {"slope", 1e-9, {1}, 1, 1}}};

  EXPECT_THAT(DescriptionText(activation),
              HasSubstr("\ngradient check:\n"
                        "  largest difference from central differences at 42 "
                        "points: 0.5\n"
                        "  NaN at 3 points\n"
                        "  d/dx: at x = 1 it is 1.5, the slope of the function "
                        "is 1\n"));
}

TEST(Describe, AMessageReadsAsTheDescriptionThatItWasMadeFrom) {
  v1::Activation message;
  message.set_id("sha256:1");
  message.set_name("leaky_relu");
  message.add_inputs("x");
  auto& parameter = *message.add_parameters();
  parameter.set_name("slope");
  parameter.set_default_value(0.01);
  message.set_program("def leaky_relu(x, slope): ...\n");
  message.add_gradients("def d_x(x): ...\n");
  message.add_gradients("");
  message.set_declared_gradient(true);
  message.set_reads_rows(true);
  message.add_rewrites("log(1+x) -> log1p(x)");
  message.mutable_gradient_check()->set_num_points(7);
  v1::GradientCheck::Variable& variable =
      *message.mutable_gradient_check()->add_variables();
  variable.set_name("x");
  variable.set_max_error(3);
  variable.add_inputs(0.25);
  variable.set_gradient(4);
  variable.set_difference(1);

  const ActivationDescription activation = FromMessage(message);

  EXPECT_EQ(Signature(activation), "leaky_relu(x, slope=0.01)");
  EXPECT_TRUE(activation.reads_rows);
  ASSERT_EQ(activation.gradients.size(), 2u);
  EXPECT_EQ(activation.gradients[0].text.value(), "def d_x(x): ...\n");
  EXPECT_TRUE(absl::IsNotFound(activation.gradients[1].text.status()));
  EXPECT_THAT(DescriptionText(activation),
              AllOf(HasSubstr("declared gradient d(rowsum(y))/dslope:\n"
                              "  none: "),
                    HasSubstr("log(1+x) -> log1p(x)"), HasSubstr("at 7 points"),
                    HasSubstr("d/dx: at x = 0.25 it is 4, the slope of the "
                              "function is 1\n"),
                    Not(HasSubstr("NaN"))));
}

}  // namespace
}  // namespace actserve
