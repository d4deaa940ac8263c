// What float32 loses of 16-bit programs that read rows: where the exact result
// lies in the middle between two neighbours, its last place decides which.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "kernels/activation/activation.h"
#include "kernels/catalog/catalog.h"
#include "kernels/graph/interpret.h"
#include "kernels/graph/reference/real_ops.h"
#include "kernels/math/half.h"
#include "kernels/math/reference/real.h"

namespace actserve {
namespace {

using testing::Real;

// Numbers of the float16 grid, in places: neighbours differ by 1.
int32_t PlaceOf(double value) {
  const uint16_t bits = actserve_f64_to_f16_bits(value);
  const int32_t magnitude = bits & 0x7fff;
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

// The float16 number nearest to `value`.
float Rounded(double value) {
  return actserve_f16_bits_to_f32(actserve_f64_to_f16_bits(value));
}

// How far `value` is from the middle between two neighbours of the float16
// grid.
double DistanceToMiddle(double value) {
  constexpr int kFractionBits = 11;
  constexpr int kLowestExponent = -13;
  int exponent;
  std::frexp(value, &exponent);
  const double place =
      std::ldexp(1, std::max(exponent, kLowestExponent) - kFractionBits);
  const double in_places = std::fabs(value) / place;
  const double middle = std::floor(in_places) + 0.5;
  return std::fabs(in_places - middle) * place;
}

// Holds `program` in float32 to 320 bits, on random rows.
void ExpectExactButForMiddles(const LoweredProgram& program) {
  const Graph& graph = program.graph;
  std::mt19937 random(1);
  std::normal_distribution<double> normal;
  int64_t num_different = 0;
  for (int row = 0; row < 2000; ++row) {
    const size_t size = 1 + random() % 60;
    const double scale = std::ldexp(1, static_cast<int>(random() % 10) - 9);
    std::vector<std::vector<float>> inputs(size);
    std::vector<std::vector<Real>> exact(size);
    for (size_t e = 0; e < size; ++e) {
      for (size_t i = 0; i < graph.inputs.size(); ++i) {
        const float x = Rounded((i == 0 ? scale : 1) * normal(random));
        inputs[e].push_back(x);
        exact[e].push_back(Real(x));
      }
    }
    const auto got = EvaluateRow<float>(graph, inputs, std::vector<float>{});
    const auto want = EvaluateRow<Real>(graph, exact, std::vector<Real>{});
    for (size_t o = 0; o < want.size(); ++o) {
      for (size_t e = 0; e < size; ++e) {
        const double right = want[o][e].ToDouble();
        const int apart = std::abs(PlaceOf(got[o][e]) - PlaceOf(right));
        if (apart == 0) continue;
        ++num_different;
        EXPECT_EQ(apart, 1) << got[o][e] << ", exactly " << right;
        // A few places of float32 of the terms, which are below 8.
        EXPECT_LE(DistanceToMiddle(right), 0x1p-21) << right;
      }
    }
  }
  // Of 60,000 numbers and more; one in a thousand is a middle.
  EXPECT_LE(num_different, 60);
}

TEST(SixteenBits, SparsemaxIsExactButForMiddles) {
  const auto activation =
      Activation::Create(FindInCatalog("sparsemax")->text, {}, nullptr);
  ASSERT_TRUE(activation.ok()) << activation.status();
  const auto tangent = (*activation)->LowerTangent(DType::kFloat16, {"x"});
  const auto second =
      (*activation)->LowerSecondOrder(DType::kFloat16, {"x"}, {"x"}, true);
  ASSERT_TRUE(tangent.ok() && second.ok());

  ExpectExactButForMiddles(*tangent);
  ExpectExactButForMiddles(*second);
}

}  // namespace
}  // namespace actserve
