#include "kernels/activation/gradient_sets.h"

#include <bit>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/cpu/cpu_device.h"
#include "kernels/device/testing/reference.h"

namespace actserve {
namespace {

using ::actserve::testing::Difference;
using ::actserve::testing::RandomTensor;
using ::actserve::testing::Results;
using ::actserve::testing::RunOnDevice;
using ::testing::ElementsAre;

std::shared_ptr<const Activation> ActivationOf(
    const std::string& text, const Activation::Options& options = {}) {
  auto activation = Activation::Create(text, options, nullptr);
  EXPECT_TRUE(activation.ok()) << activation.status();
  return *std::move(activation);
}

std::string BytesOf(double value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

const std::string kOneInput =
    "def f(x, a=1.5, b=0.5):\n"
    "    return a * sigmoid(b * x) + exp(x) if x < a else x * b\n";
const std::string kTwoInputs =
    "def f(x, y, a=1.5, b=0.5):\n"
    "    if y > a:\n"
    "        return tanh(x * y) + b\n"
    "    return a * x * sigmoid(b * y)\n";
const std::string kDeclared =
    "def f(x, y, a=1.0):\n"
    "    return a * x * y\n"
    "def f_grad(x, y, dy, a=1.0):\n"
    "    return dy * y, dy * x\n";

TEST(GradientSets, AreSinglesInputsAndAll) {
  const GradientSets sets(*ActivationOf(kTwoInputs));

  EXPECT_THAT(sets.forward(), ElementsAre(0, 0b1, 0b10, 0b11));
  EXPECT_THAT(sets.backward(),
              ElementsAre(0b1, 0b10, 0b100, 0b1000, 0b11, 0b1111));
  EXPECT_EQ(sets.ForBackward(0b11), 0b11u);
  EXPECT_EQ(sets.ForBackward(0b101), 0b1111u);
  EXPECT_EQ(sets.ForBackward(0b1100), 0b1111u);
}

TEST(GradientSets, OfOneInputAreSinglesAndAll) {
  const GradientSets sets(*ActivationOf(kOneInput));

  EXPECT_THAT(sets.forward(), ElementsAre(0, 0b1));
  EXPECT_THAT(sets.backward(), ElementsAre(0b1, 0b10, 0b100, 0b111));
}

TEST(GradientSets, LeaveOutWhatHasNoGradient) {
  const GradientSets sets(*ActivationOf(kDeclared));

  EXPECT_THAT(sets.backward(), ElementsAre(0b1, 0b10, 0b11));
  EXPECT_EQ(sets.ForBackward(0b101), 0b101u) << "refused when it is compiled";
}

TEST(GradientSets, GrowWithTheVariablesAndNotWithTheirSets) {
  std::string text = "def f(x, y";
  std::string sum = "x * y";
  for (int i = 0; i < 32; ++i) {
    absl::StrAppend(&text, ", p", i, "=1.0");
    absl::StrAppend(&sum, " + p", i, " * x");
  }
  const GradientSets sets(
      *ActivationOf(absl::StrCat(text, "):\n    return ", sum, "\n")));

  EXPECT_EQ(sets.backward().size(), 34 + 2);
  std::set<uint64_t> used;
  for (uint64_t i = 1; i < 1 << 16; ++i) {
    used.insert(sets.ForBackward(i * 0x9E3779B97F4A7C15 >> 30));
  }
  EXPECT_LE(used.size(), sets.backward().size());
}

// The program of all variables is too large; those of two are not.
TEST(GradientSets, StayWithinTheLimits) {
  const auto unlimited = ActivationOf(kTwoInputs);
  Activation::Options options;
  options.limits.weight =
      unlimited->LowerBackward(DType::kFloat32, {"x", "y", "a", "b"})->weight -
      1;
  const GradientSets sets(*ActivationOf(kTwoInputs, options));

  EXPECT_EQ(sets.ForBackward(0b1111), 0b1111u);
  EXPECT_EQ(sets.ForBackward(0b1001), 0b1001u);
  EXPECT_THAT(sets.backward(), ElementsAre(0b1, 0b10, 0b100, 0b1000, 0b11));
}

// What a request gets does not depend on which program computes it.
TEST(GradientSets, GiveTheSameBits) {
  const auto device = *CpuDevice::Create({});
  for (const std::string& text : {kOneInput, kTwoInputs, kDeclared}) {
    const auto activation = ActivationOf(text);
    const GradientSets sets(*activation);
    const int num_inputs = static_cast<int>(activation->inputs().size());
    const uint64_t all = sets.backward().back();
    for (DType dtype : {DType::kFloat16, DType::kBFloat16, DType::kFloat32,
                        DType::kFloat64}) {
      std::vector<std::string> inputs;
      for (int i = 0; i <= num_inputs; ++i) {
        inputs.push_back(RandomTensor(dtype, 3000, i));
      }
      std::vector<double> parameters;
      for (const Parameter& parameter : activation->parameters()) {
        parameters.push_back(parameter.default_value);
      }
      for (uint64_t wanted = 1; wanted <= all; ++wanted) {
        const uint64_t cover = sets.ForBackward(wanted);
        if (cover == wanted) continue;
        SCOPED_TRACE(
            absl::StrCat(text, std::string(DTypeName(dtype)), " ", wanted));
        const auto alone =
            activation->LowerBackward(dtype, NamesOf(*activation, wanted));
        const auto together =
            activation->LowerBackward(dtype, NamesOf(*activation, cover));
        const Results want = RunOnDevice(*device, *alone, inputs, parameters);
        const Results got = RunOnDevice(*device, *together, inputs, parameters);

        size_t tensor = 0, sum = 0;
        for (int i = 0; i < 64; ++i) {
          if ((wanted >> i & 1) == 0) continue;
          const int rank = std::popcount(cover & ((uint64_t{1} << i) - 1));
          if (i < num_inputs) {
            EXPECT_EQ(
                Difference(dtype, got.outputs[rank], want.outputs[tensor++]),
                "");
          } else {
            const size_t num_tensors = got.outputs.size();
            EXPECT_EQ(Difference(DType::kFloat64,
                                 BytesOf(got.sums[rank - num_tensors]),
                                 BytesOf(want.sums[sum++])),
                      "");
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace actserve
