#include "kernels/accuracy/row_accuracy.h"

#include <cmath>
#include <iostream>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/catalog/catalog.h"
#include "kernels/device/cpu/cpu_device.h"
#include "kernels/graph/reference/real_ops.h"
#include "kernels/math/reference/real.h"

namespace actserve {
namespace {

using testing::Real;

Device& CpuForTests() {
  static auto* const device =
      new std::unique_ptr<CpuDevice>(*CpuDevice::Create({}));
  return **device;
}

std::shared_ptr<const Activation> BuiltIn(std::string_view name) {
  return *Activation::Create(FindInCatalog(name)->text, {}, nullptr);
}

// Limits on max_term_ulp.
constexpr double kValueLimit = 4;
constexpr double kGradientLimit = 8;

using Case = std::tuple<std::string, DType, bool>;

class RowAccuracyOfBuiltIn : public ::testing::TestWithParam<Case> {};

TEST_P(RowAccuracyOfBuiltIn, StaysWithinItsLimit) {
  const auto& [name, dtype, derivative] = GetParam();
  const auto activation = BuiltIn(name);
  for (const int64_t row_size : {1, 2, 64, 1000, 32768}) {
    const auto accuracy = MeasureRowAccuracy(CpuForTests(), *activation, dtype,
                                             derivative, row_size);

    ASSERT_TRUE(accuracy.ok()) << accuracy.status();
    EXPECT_LE(accuracy->max_term_ulp, derivative ? kGradientLimit : kValueLimit)
        << "rows of " << row_size;
    EXPECT_EQ(accuracy->num_special_mismatches, 0) << "rows of " << row_size;
  }
}

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const CatalogEntry& entry : Catalog()) {
    if (!BuiltIn(entry.name)->reads_rows()) continue;
    for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
      for (const bool derivative : {false, true}) {
        cases.emplace_back(entry.name, dtype, derivative);
      }
    }
  }
  return cases;
}

std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  const auto& [name, dtype, derivative] = info.param;
  return name + "_" + std::string(DTypeName(dtype)) +
         (derivative ? "_gradient" : "_value");
}

INSTANTIATE_TEST_SUITE_P(All, RowAccuracyOfBuiltIn,
                         ::testing::ValuesIn(AllCases()), CaseName);

// The reference is the text's own graph, so it is held to formulas that share
// nothing with it.
TEST(RowReference, OfSoftmaxIsTheFormula) {
  const std::vector<Real> x = {0.7, -1.1, 5.2, 2.3, -40.0};
  const std::vector<Real> dy = {1.3, 0.4, -2.1, 0.9, 0.6};
  std::vector<std::vector<Real>> inputs;
  for (size_t i = 0; i < x.size(); ++i) inputs.push_back({x[i], dy[i]});
  Real sum = 0, dot = 0;
  for (const Real& value : x) sum = sum + Real::Apply(mpfr_exp, value);
  const auto y = [&](size_t i) { return Real::Apply(mpfr_exp, x[i]) / sum; };
  for (size_t i = 0; i < x.size(); ++i) dot = dot + dy[i] * y(i);
  const auto activation = BuiltIn("softmax");

  const auto value =
      EvaluateRow<Real>(activation->forward(), inputs, {Real(1)})[0];
  const auto gradient = EvaluateRow<Real>(
      activation->LowerBackward(DType::kFloat64, {"x"})->graph, inputs,
      {Real(1)})[0];

  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_LT(Abs(value[i] - y(i)), Real("1e-80")) << i;
    EXPECT_LT(Abs(gradient[i] - y(i) * (dy[i] - dot)), Real("1e-80")) << i;
  }
}

// Sparsemax and 1.5-entmax by their definition: max(x / power - tau, 0)**power
// for the tau, found by bisection, with which the row adds up to 1.
void ExpectProjection(std::string_view name, int power) {
  SCOPED_TRACE(name);
  const std::vector<Real> x = {0.7, -1.1, 0.4, 0.55, -40.0, 0.4, 0.1};
  const std::vector<Real> dy = {1.3, 0.4, -2.1, 0.9, 0.6, 0.3, 5.0};
  const auto at = [&](size_t i, const Real& tau) {
    const Real excess = x[i] / Real(power) - tau;
    if (excess < Real(0.0)) return Real(0.0);
    return power == 1 ? excess : excess * excess;
  };
  Real low = -2, high = 2;
  for (int step = 0; step < 400; ++step) {
    const Real middle = (low + high) / Real(2);
    Real sum = 0.0;
    for (size_t i = 0; i < x.size(); ++i) sum = sum + at(i, middle);
    (sum < Real(1) ? high : low) = middle;
  }
  // The Jacobian is diag(s) - s s^T / sum(s), s = y**(1 - 1 / power).
  std::vector<Real> s;
  Real sum = 0, dot = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const Real y = at(i, low);
    s.push_back(!(y > Real(0.0)) ? Real(0.0)
                : power == 1     ? Real(1)
                                 : Real::Apply(mpfr_sqrt, y));
    sum = sum + s[i];
    dot = dot + s[i] * dy[i];
  }
  std::vector<std::vector<Real>> inputs;
  for (size_t i = 0; i < x.size(); ++i) inputs.push_back({x[i], dy[i]});
  const auto activation = BuiltIn(name);

  const auto value = EvaluateRow<Real>(activation->forward(), inputs, {})[0];
  const auto gradient = EvaluateRow<Real>(
      activation->LowerBackward(DType::kFloat64, {"x"})->graph, inputs, {})[0];

  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_LT(Abs(value[i] - at(i, low)), Real("1e-80")) << i;
    EXPECT_LT(Abs(gradient[i] - s[i] * (dy[i] - dot / sum)), Real("1e-80"))
        << i;
  }
}

TEST(RowReference, OfSparsemaxAndEntmaxIsTheProjection) {
  ExpectProjection("sparsemax", 1);
  ExpectProjection("entmax15", 2);
}

// The measure must be able to find fault: a variance that cancels.
TEST(MeasureRowAccuracy, SeesTheCancellationOfAVarianceFromSquares) {
  const auto naive = Activation::Create(
      "def f(x):\n"
      "    m = rowmean(x)\n"
      "    return x * 0 + (rowmean(x * x) - m * m)\n",
      {}, nullptr);
  ASSERT_TRUE(naive.ok()) << naive.status();

  const auto accuracy =
      MeasureRowAccuracy(CpuForTests(), **naive, DType::kFloat32, false, 64);

  ASSERT_TRUE(accuracy.ok()) << accuracy.status();
  EXPECT_GT(accuracy->max_ulp, 1e3);
  EXPECT_LT(accuracy->max_term_ulp, 4);
}

}  // namespace
}  // namespace actserve
