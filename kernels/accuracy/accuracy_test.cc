#include "kernels/accuracy/accuracy.h"

#include <memory>
#include <string>
#include <tuple>

#include "gtest/gtest.h"
#include "kernels/accuracy/goals.h"
#include "kernels/catalog/catalog.h"
#include "kernels/device/cpu/cpu_device.h"

namespace actserve {
namespace {

Device& CpuForTests() {
  static auto* const device =
      new std::unique_ptr<CpuDevice>(*CpuDevice::Create({}));
  return **device;
}

using Case = std::tuple<const CatalogEntry*, DType, bool>;

class CatalogAccuracy : public ::testing::TestWithParam<Case> {};

// All 65,536 inputs of the 16-bit types; a sample of the others.
TEST_P(CatalogAccuracy, StaysWithinItsLimit) {
  const auto& [entry, dtype, derivative] = GetParam();
  auto activation = Activation::Create(entry->text, {}, nullptr);
  ASSERT_TRUE(activation.ok()) << activation.status();

  auto accuracy = MeasureAccuracy(CpuForTests(), **activation, dtype,
                                  derivative, 2000, /*trust_float64=*/true);

  ASSERT_TRUE(accuracy.ok()) << accuracy.status();
  EXPECT_GE(accuracy->num_points, 4000);
  EXPECT_EQ(Shortfall(LimitFor(entry->name, derivative), dtype, *accuracy), "")
      << "worst at " << accuracy->worst_input << ", special at "
      << accuracy->special_mismatch_input;
}

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const CatalogEntry& entry : Catalog()) {
    const auto activation = *Activation::Create(entry.text, {}, nullptr);
    // row_accuracy_test.cc has those that read rows, math/draw_test.cc what
    // random numbers are made of. Gates multiply a function that is measured.
    if (activation->reads_rows() || activation->draws() ||
        activation->inputs().size() > 1) {
      continue;
    }
    for (DType dtype : {DType::kFloat16, DType::kBFloat16, DType::kFloat32,
                        DType::kFloat64}) {
      for (bool derivative : {false, true}) {
        cases.emplace_back(&entry, dtype, derivative);
      }
    }
  }
  return cases;
}

std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  const auto& [entry, dtype, derivative] = info.param;
  return std::string(entry->name) + "_" + std::string(DTypeName(dtype)) +
         (derivative ? "_derivative" : "_value");
}

INSTANTIATE_TEST_SUITE_P(All, CatalogAccuracy, ::testing::ValuesIn(AllCases()),
                         CaseName);

TEST(AccuracyInputs, AreAllValuesOfA16BitType) {
  EXPECT_EQ(AccuracyInputs(DType::kFloat16, 10).size(), 65536);
  EXPECT_EQ(AccuracyInputs(DType::kFloat32, 10).size(), 20);
}

// The measure must be able to find fault: a formula that is known to cancel.
TEST(MeasureAccuracy, SeesTheCancellationOfTheUsualGelu) {
  Activation::Options as_written;
  as_written.exact = true;
  auto naive = Activation::Create(
      "def f(x):\n    return 0.5 * x * (1 + erf(x / sqrt(2)))\n", as_written,
      nullptr);
  ASSERT_TRUE(naive.ok()) << naive.status();

  auto accuracy =
      MeasureAccuracy(CpuForTests(), **naive, DType::kFloat32, false, 2000);

  ASSERT_TRUE(accuracy.ok()) << accuracy.status();
  EXPECT_GT(accuracy->max_ulp, 1e6);
}

TEST(MeasureAccuracy, RefusesSeveralInputsAndRows) {
  for (const char* text : {"def f(x):\n    return x - rowmax(x)\n",
                           "def f(x, y):\n    return x - y\n"}) {
    const auto activation = *Activation::Create(text, {}, nullptr);

    const auto accuracy = MeasureAccuracy(CpuForTests(), *activation,
                                          DType::kFloat32, false, 2000);

    EXPECT_TRUE(absl::IsInvalidArgument(accuracy.status())) << text;
  }
}

}  // namespace
}  // namespace actserve
