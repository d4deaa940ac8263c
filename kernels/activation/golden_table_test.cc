// The conventions at kinks, poles and infinities: one row, one assertion, in
// both compute types. What each row says is part of the product's contract;
// where frameworks differ, the row is the choice.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/activation/activation.h"
#include "kernels/catalog/catalog.h"
#include "kernels/graph/testing/graphs.h"

namespace actserve {
namespace {

using testing::SameBits;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Row {
  const char* activation;  // a built-in's name, or an expression of x and y
  std::vector<double> at;
  const char* wrt;  // "": the value
  double want;
};

const Row kTable[] = {
    // Piecewise linear: the branch at the kink decides.
    {"relu", {0}, "x", 0},
    {"relu", {-0.0}, "x", 0},
    {"relu6", {0}, "x", 0},
    {"relu6", {6}, "x", 0},
    {"absolute", {0}, "x", 0},
    {"hardtanh", {-1}, "x", 0},
    {"hardtanh", {1}, "x", 0},
    {"leaky_relu", {0}, "x", 0.01},
    {"prelu", {0}, "x", 0.25},
    {"prelu", {0}, "a", 0},
    {"prelu", {-2}, "a", -2},
    {"prelu", {3}, "a", 0},
    {"elu", {0}, "x", 1},
    {"elu(x, 0.5)", {0}, "x", 0.5},
    {"celu", {0}, "x", 1},
    {"hardsigmoid", {-3}, "x", 0},
    {"hardsigmoid", {3}, "x", 0},
    {"hardswish", {-3}, "x", 0},
    {"hardswish", {3}, "x", 1},
    {"hardshrink", {-0.5}, "x", 0},
    {"hardshrink", {0.5}, "x", 0},
    {"softshrink", {-0.5}, "x", 0},
    {"softshrink", {0.5}, "x", 0},
    {"threshold", {1}, "x", 0},
    // Primitives with a kink.
    {"clamp(x, -1, 2)", {-1}, "x", 1},
    {"clamp(x, -1, 2)", {2}, "x", 1},
    {"clamp(x, -1, 2)", {-1.5}, "x", 0},
    {"clamp(x, 2, -1)", {0}, "", -1},
    {"abs(x)", {0}, "x", 0},
    {"max(x, y)", {2, 2}, "x", 0.5},
    {"max(x, y)", {2, 2}, "y", 0.5},
    {"min(x, y)", {2, 2}, "x", 0.5},
    {"min(x, y)", {2, 2}, "y", 0.5},
    {"max(x, y)", {3, 2}, "x", 1},
    {"min(x, y)", {3, 2}, "x", 0},
    {"max(x, y)", {kNaN, 2}, "x", kNaN},
    // Steps are flat.
    {"floor(x)", {1}, "x", 0},
    {"ceil(x)", {1.5}, "x", 0},
    {"round(x)", {2.5}, "x", 0},
    {"trunc(x)", {-1.5}, "x", 0},
    {"sign(x)", {0}, "x", 0},
    // Remainders.
    {"x % y", {-7, 3}, "x", 1},
    {"x % y", {-7, 3}, "y", 3},
    {"fmod(x, y)", {-7, 3}, "x", 1},
    {"fmod(x, y)", {-7, 3}, "y", 2},
    {"x % 1", {2}, "x", 1},
    // Poles, by continuity.
    {"sqrt(x)", {0}, "x", kInf},
    {"x * sqrt(x)", {0}, "x", kNaN},
    {"log(x)", {0}, "x", kInf},
    {"1 / x", {0}, "x", -kInf},
    // Powers.
    {"x ** y", {2, 0}, "x", 0},
    {"x ** y", {0, 0}, "x", 0},
    {"x ** y", {0, 2}, "y", 0},
    {"x ** y", {0, 0}, "y", 0},
    {"x ** y", {0, -1}, "y", -kInf},
    {"x ** y", {-2, 2}, "y", kNaN},
    {"x ** 0", {kNaN}, "", 1},
    {"x ** 0.5", {-0.0}, "", 0},
    // The branch not taken does not exist.
    {"log(x) if x > 0 else 0", {0}, "x", 0},
    {"sqrt(x) if x > 0 else x", {0}, "x", 1},
    {"1 / x if x != 0 else 5 * x", {0}, "x", 5},
    {"exp(x) if x < 1 else x", {1000}, "x", 1},
    // Not-a-number stays visible.
    {"relu", {kNaN}, "", kNaN},
    {"relu", {kNaN}, "x", kNaN},
    {"relu6", {kNaN}, "", kNaN},
    {"silu", {kNaN}, "", kNaN},
    // Infinity.
    {"gelu", {-kInf}, "", -0.0},
    {"silu", {-kInf}, "", -0.0},
    {"mish", {-kInf}, "", -0.0},
    {"gelu_tanh", {-kInf}, "", -0.0},
    {"quick_gelu", {-kInf}, "", -0.0},
    {"swish", {-kInf}, "", -0.0},
    {"gelu", {kInf}, "", kInf},
    {"gelu", {kInf}, "x", 1},
    {"gelu", {-kInf}, "x", 0},
    {"silu", {kInf}, "x", 1},
    {"silu", {-kInf}, "x", 0},
    {"mish", {kInf}, "x", 1},
    {"mish", {-kInf}, "x", 0},
    {"gelu_tanh", {kInf}, "x", 1},
    {"gelu_tanh", {-kInf}, "x", 0},
    {"tanh", {kInf}, "x", 0},
    {"sigmoid", {-kInf}, "x", 0},
    {"softplus", {kInf}, "x", 1},
    {"softplus", {-kInf}, "", 0},
    {"logsigmoid", {-kInf}, "x", 1},
    {"softsign", {kInf}, "", 1},
    {"softsign", {-kInf}, "x", 0},
    {"tanhshrink", {kInf}, "x", 1},
    {"gaussian", {kInf}, "x", 0},
    {"erf", {kInf}, "x", 0},
};

std::string TextOf(const Row& row) {
  const std::string name = row.activation;
  if (const CatalogEntry* entry = FindInCatalog(name)) {
    return std::string(entry->text);
  }
  const char* inputs = row.at.size() == 2 ? "x, y" : "x";
  return "def f(" + std::string(inputs) + "):\n    return " + name + "\n";
}

template <typename T>
void Check(const Row& row, DType dtype) {
  SCOPED_TRACE(std::string(DTypeName(dtype)) + " " + row.activation + " d/d" +
               row.wrt);
  const auto activation = Activation::Create(TextOf(row), {}, nullptr);
  ASSERT_TRUE(activation.ok()) << activation.status();
  const std::string wrt = row.wrt;
  const auto program = wrt.empty() ? (*activation)->LowerForward(dtype, {})
                                   : (*activation)->LowerBackward(dtype, {wrt});
  ASSERT_TRUE(program.ok()) << program.status();
  std::vector<T> inputs(row.at.begin(), row.at.end());
  if (!wrt.empty()) inputs.push_back(1);

  const T got = testing::ValueAt<T>(program->graph, inputs);

  const T want = static_cast<T>(row.want);
  // The sign of a zero derivative is free, that of a zero value is not.
  const bool same = SameBits(got, want) || (!wrt.empty() && got == want);
  EXPECT_TRUE(same) << "at " << row.at[0] << ": " << got << ", not " << want;
}

TEST(GoldenTable, Float32) {
  for (const Row& row : kTable) Check<float>(row, DType::kFloat32);
}

TEST(GoldenTable, Float64) {
  for (const Row& row : kTable) Check<double>(row, DType::kFloat64);
}

}  // namespace
}  // namespace actserve
