#include "kernels/graph/activation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/graph/interpret.h"

namespace actserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kSpiky[] = R"(def spiky(x):
    r = x % 1
    if r <= 0.5:
        return r
    else:
        return 0
)";

std::shared_ptr<const Activation> Make(std::string_view text,
                                       Activation::Options options = {}) {
  auto activation = Activation::Create(text, options, nullptr);
  EXPECT_TRUE(activation.ok()) << activation.status();
  return activation.ok() ? *activation : nullptr;
}

std::string ErrorOf(std::string_view text, Activation::Options options = {}) {
  const auto activation = Activation::Create(text, options, nullptr);
  return std::string(activation.status().message());
}

// The only output of `program` at `inputs`, default parameters.
template <typename T>
T At(const LoweredProgram& program, std::vector<T> inputs) {
  std::vector<T> parameters;
  for (const Parameter& parameter : program.graph.parameters) {
    parameters.push_back(static_cast<T>(parameter.default_value));
  }
  return Evaluate<T>(program.graph, inputs, parameters)[0];
}

TEST(Activation, SpikyHasTheValuesOfTheOriginalQuestion) {
  const auto spiky = Make(kSpiky);
  const auto program = spiky->LowerForward(DType::kFloat32, {});

  ASSERT_TRUE(program.ok());
  EXPECT_EQ(At<float>(*program, {0.2f}), 0.2f);
  EXPECT_EQ(At<float>(*program, {0.7f}), 0.0f);
  EXPECT_EQ(At<float>(*program, {1.2f}), 0.20000005f);
  EXPECT_EQ(At<float>(*program, {1.7f}), 0.0f);
}

TEST(Activation, SpikyHasTheGradientOfTheOriginalQuestion) {
  const auto spiky = Make(kSpiky);
  const auto program = spiky->LowerBackward(DType::kFloat32, {"x"});

  ASSERT_TRUE(program.ok());
  EXPECT_THAT(program->graph.inputs, ElementsAre("x", "dy"));
  EXPECT_EQ(At<float>(*program, {0.2f, 3.0f}), 3.0f);
  EXPECT_EQ(At<float>(*program, {0.7f, 3.0f}), 0.0f);
  EXPECT_EQ(At<float>(*program, {1.2f, 3.0f}), 3.0f);
}

TEST(Activation, ZeroBranchStaysZeroWhateverArrives) {
  const auto program = Make(kSpiky)->LowerBackward(DType::kFloat32, {"x"});

  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(At<float>(*program, {0.7f, inf}), 0.0f);
}

TEST(Activation, RendersErrorsWithTheirPosition) {
  EXPECT_THAT(ErrorOf("def f(x):\n    return x if x else 0\n"),
              HasSubstr("2:17: error: this is a number where a truth value is "
                        "needed"));
}

}  // namespace
}  // namespace actserve
