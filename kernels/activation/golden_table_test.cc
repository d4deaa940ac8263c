// The conventions at kinks, poles and infinities: one row, one assertion, in
// both compute types. What each row says is part of the product's contract;
// where frameworks differ, the row is the choice.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/activation/activation.h"
#include "kernels/catalog/catalog.h"
#include "kernels/graph/interpret.h"
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
    {"spike_atan", {0}, "", 1},
    {"spike_atan", {-0.0}, "", 1},
    {"spike_atan", {0}, "x", 1},
    {"spike_atan", {kInf}, "x", 0},
    {"spike_fast_sigmoid", {0}, "", 1},
    {"spike_fast_sigmoid", {0}, "x", 1},
    {"spike_fast_sigmoid", {-kInf}, "x", 0},
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

// Of a built-in, or of an expression of `inputs`.
std::string TextOf(const std::string& activation, const char* inputs) {
  if (const CatalogEntry* entry = FindInCatalog(activation)) {
    return std::string(entry->text);
  }
  return "def f(" + std::string(inputs) + "):\n    return " + activation + "\n";
}

template <typename T>
void Check(const Row& row, DType dtype) {
  SCOPED_TRACE(std::string(DTypeName(dtype)) + " " + row.activation + " d/d" +
               row.wrt);
  const auto activation = Activation::Create(
      TextOf(row.activation, row.at.size() == 2 ? "x, y" : "x"), {}, nullptr);
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

struct RowOfBuiltIn {
  const char* activation;
  std::vector<double> row;
  std::vector<double> want;
};

// PyTorch's answers.
const RowOfBuiltIn kRows[] = {
    {"softmax", {5}, {1}},
    {"softmax", {-kInf, 2, 2}, {0, 0.5, 0.5}},
    {"softmax", {-kInf, -kInf}, {kNaN, kNaN}},
    {"softmax", {-kInf}, {kNaN}},
    {"softmax", {kInf, 1}, {kNaN, kNaN}},
    {"softmax", {kNaN, 1}, {kNaN, kNaN}},
    {"softmax", {3e38, 3e38, -3e38}, {0.5, 0.5, 0}},
    {"log_softmax", {5}, {0}},
    {"log_softmax", {-kInf, 2}, {-kInf, 0}},
    {"log_softmax", {-kInf, -kInf}, {kNaN, kNaN}},
    {"log_softmax", {kInf, 1}, {kNaN, kNaN}},
    {"log_softmax", {kNaN, 1}, {kNaN, kNaN}},
    {"log_softmax", {0, -1000}, {0, -1000}},
    {"softmin", {5}, {1}},
    {"softmin", {kInf, 2, 2}, {0, 0.5, 0.5}},
    {"softmin", {kInf, kInf}, {kNaN, kNaN}},
    {"softmin", {-kInf, 1}, {kNaN, kNaN}},
    {"softmin", {kNaN, 1}, {kNaN, kNaN}},
    {"standardize", {5}, {0}},
    {"standardize", {3, 3, 3}, {0, 0, 0}},
    {"standardize", {kInf, 1}, {kNaN, kNaN}},
    {"standardize", {-kInf, -kInf}, {kNaN, kNaN}},
    {"standardize", {kNaN, 1}, {kNaN, kNaN}},
    {"layer_norm", {3, 3, 3}, {0, 0, 0}},
    {"layer_norm(x, 2, 1)", {3, 3, 3}, {1, 1, 1}},
    {"layer_norm", {kInf, 1}, {kNaN, kNaN}},
    {"rms_norm", {0, 0}, {0, 0}},
    {"rms_norm", {0x1p40}, {1}},
    {"rms_norm", {kInf, 1}, {kNaN, 0}},
    {"rms_norm", {-kInf, -kInf}, {kNaN, kNaN}},
    {"rms_norm", {kNaN, 1}, {kNaN, kNaN}},
    {"l2_normalize", {0, 0}, {0, 0}},
    {"l2_normalize", {-5}, {-1}},
    {"l2_normalize", {3, -0.0, 0}, {1, -0.0, 0}},
    {"l2_normalize", {kInf, 1}, {kNaN, 0}},
    {"l2_normalize", {-kInf, -kInf}, {kNaN, kNaN}},
    {"l2_normalize", {kNaN, 1}, {kNaN, kNaN}},
    {"sparsemax", {5}, {1}},
    {"sparsemax", {1, 1}, {0.5, 0.5}},
    {"sparsemax", {1, 0.5, -3}, {0.75, 0.25, 0}},
    {"sparsemax", {1, 0}, {1, 0}},
    {"sparsemax", {-kInf, 2, 2}, {0, 0.5, 0.5}},
    {"sparsemax", {-kInf, -kInf}, {kNaN, kNaN}},
    {"sparsemax", {kInf, 1, -kInf}, {kNaN, kNaN, kNaN}},
    {"sparsemax", {kNaN, 1}, {kNaN, kNaN}},
    {"sparsemax", {3e38, 3e38, -3e38}, {0.5, 0.5, 0}},
    {"entmax15", {5}, {1}},
    {"entmax15", {1, 1, 1, 1}, {0.25, 0.25, 0.25, 0.25}},
    {"entmax15", {2, 0}, {1, 0}},
    {"entmax15", {-kInf, 2}, {0, 1}},
    {"entmax15", {-kInf, -kInf}, {kNaN, kNaN}},
    {"entmax15", {kInf, 1, -kInf}, {kNaN, kNaN, kNaN}},
    {"entmax15", {kNaN, 1}, {kNaN, kNaN}},
    {"entmax15", {3e38, -3e38}, {1, 0}},
    {"hardmax", {1, 3, 3}, {0, 1, 0}},
    {"hardmax", {-kInf, -kInf}, {1, 0}},
    {"hardmax", {2, kNaN, kInf}, {0, 1, 0}},
};

struct RowGradient {
  const char* activation;
  std::vector<double> row, upstream;
  std::vector<double> want;
};

const RowGradient kRowGradients[] = {
    {"softmax", {5}, {3}, {0}},
    {"softmax", {-kInf, 2, 2}, {1, 2, 4}, {0, -0.5, 0.5}},
    {"softmin", {kInf, 2, 2}, {1, 2, 4}, {0, 0.5, -0.5}},
    {"log_softmax", {2, 2}, {1, 3}, {-1, 1}},
    {"l2_normalize(x, 0.25)", {0, 0}, {1, -2}, {4, -8}},
    {"rms_norm(x, 0.25)", {0, 0}, {1, -2}, {2, -4}},
    {"standardize(x, 0.25)", {0, 0}, {1, -3}, {4, -4}},
    {"sparsemax", {5}, {3}, {0}},
    {"sparsemax", {1, 0.5, -3}, {1, 2, 4}, {-0.5, 0.5, 0}},
    {"sparsemax", {1, 1, 1, 1}, {1, 2, 4, 1}, {-1, 0, 2, -1}},
    {"sparsemax", {1, 0}, {3, 5}, {0, 0}},
    {"sparsemax", {-kInf, 2, 2}, {1, 2, 4}, {0, -1, 1}},
    {"entmax15", {5}, {3}, {0}},
    {"entmax15", {1, 1, 1, 1}, {1, 2, 4, 1}, {-0.5, 0, 1, -0.5}},
    {"entmax15", {2, 0}, {3, 5}, {0, 0}},
    {"hardmax", {1, 3, 3}, {3, 5, 7}, {0, 0, 0}},
};

// One row: an element's inputs are an element of each of `columns`.
template <typename T>
void CheckRow(const std::string& text, DType dtype, bool derivative,
              const std::vector<std::vector<double>>& columns,
              const std::vector<double>& want) {
  SCOPED_TRACE(std::string(DTypeName(dtype)) + "\n" + text);
  const auto activation = Activation::Create(text, {}, nullptr);
  ASSERT_TRUE(activation.ok()) << activation.status();
  const auto program = derivative ? (*activation)->LowerBackward(dtype, {"x"})
                                  : (*activation)->LowerForward(dtype, {});
  ASSERT_TRUE(program.ok()) << program.status();
  std::vector<std::vector<T>> inputs(want.size());
  for (const std::vector<double>& column : columns) {
    for (size_t i = 0; i < column.size(); ++i) {
      inputs[i].push_back(static_cast<T>(column[i]));
    }
  }
  std::vector<T> parameters;
  for (const Parameter& parameter : program->graph.parameters) {
    parameters.push_back(static_cast<T>(parameter.default_value));
  }

  const auto got = EvaluateRow<T>(program->graph, inputs, parameters)[0];

  for (size_t i = 0; i < got.size(); ++i) {
    const T wanted = static_cast<T>(want[i]);
    EXPECT_TRUE(SameBits(got[i], wanted) || (derivative && got[i] == wanted))
        << "element " << i << " of " << columns[0][0] << "...: " << got[i];
  }
}

TEST(GoldenTable, Rows) {
  for (const RowOfBuiltIn& row : kRows) {
    const std::string text = TextOf(row.activation, "x");
    CheckRow<float>(text, DType::kFloat32, false, {row.row}, row.want);
    CheckRow<double>(text, DType::kFloat64, false, {row.row}, row.want);
  }
}

TEST(GoldenTable, GradientsOfRows) {
  for (const RowGradient& row : kRowGradients) {
    const std::string text = TextOf(row.activation, "x");
    const std::vector<std::vector<double>> columns = {row.row, row.upstream};
    CheckRow<float>(text, DType::kFloat32, true, columns, row.want);
    CheckRow<double>(text, DType::kFloat64, true, columns, row.want);
  }
}

}  // namespace
}  // namespace actserve
