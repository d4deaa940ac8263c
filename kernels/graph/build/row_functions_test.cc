#include "kernels/graph/build/row_functions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/graph/interpret.h"
#include "kernels/graph/testing/graphs.h"

namespace actserve {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
using Row = std::vector<double>;

Row Of(const std::string& expression, const Row& row) {
  const Graph graph = testing::GraphOfExpression(expression);
  std::vector<std::vector<double>> inputs;
  for (const double x : row) inputs.push_back({x});
  return EvaluateRow<double>(graph, inputs, {})[0];
}

TEST(RowFunctions, AreOneNumberForARow) {
  EXPECT_EQ(Of("rowsum(x)", {1, 2, 4}), (Row{7, 7, 7}));
  EXPECT_EQ(Of("rowmean(x)", {1, 2, 6}), (Row{3, 3, 3}));
  EXPECT_EQ(Of("rowmax(x)", {1, -3, 2}), (Row{2, 2, 2}));
  EXPECT_EQ(Of("rowmin(x)", {1, -3, 2}), (Row{-3, -3, -3}));
  EXPECT_EQ(Of("rowsize(x)", {1, -3, 2}), (Row{3, 3, 3}));
  EXPECT_EQ(Of("rowprod(x)", {2, -3, 0.5}), (Row{-3, -3, -3}));
  EXPECT_TRUE(std::isnan(Of("rowprod(x)", {0, 5, kInf})[0]));
  EXPECT_EQ(Of("rowprod(x)", {7}), (Row{7}));
  EXPECT_EQ(Of("rowkth(x, 2)", {5, 1, 3}), (Row{3, 3, 3}));
  EXPECT_EQ(Of("rowkth(x, 4)", {5, 1, 3}), (Row{0, 0, 0}));
}

TEST(RowFunctions, AreANumberForEachElement) {
  EXPECT_EQ(Of("rowindex(x)", {9, 9, 9}), (Row{0, 1, 2}));
  EXPECT_EQ(Of("rowsorted(x)", {1, 3, 2, 3}), (Row{3, 3, 2, 1}));
  EXPECT_EQ(Of("rowcumsum(x)", {1, 3, -2}), (Row{1, 4, 2}));
  EXPECT_EQ(Of("rowargmax(x)", {1, 3, 2, 3}), (Row{0, 1, 0, 0}));
  EXPECT_EQ(Of("rowargmax(x)", {-kInf, -kInf}), (Row{1, 0}));
  EXPECT_EQ(Of("rowargmax(x)", {1, kNaN, 2}), (Row{0, 1, 0}));
}

TEST(RowFunctions, PutNaNFirst) {
  const Row sorted = Of("rowsorted(x)", {1, kNaN, kInf});
  EXPECT_TRUE(std::isnan(sorted[0]));
  EXPECT_EQ(sorted[1], kInf);
  EXPECT_EQ(sorted[2], 1);
}

TEST(RowFunctions, OfNoRowAreNone) {
  for (const char* name : {"rowsum", "rowmax", "rowprod", "rowargmax"}) {
    EXPECT_EQ(Of(absl::StrCat(name, "(x)"), {}), Row());
  }
}

// The support of Martins and Astudillo (2016): as many of the largest as have
// 1 + k z_k > their sum.
TEST(RowFunctions, MakeSparsemax) {
  const Graph graph = testing::GraphOf(
      "def f(x):\n"
      "    z = rowsorted(x)\n"
      "    k = rowsum(1.0 if 1 + (rowindex(x) + 1) * z > rowcumsum(z) else 0)\n"
      "    t = (rowsum(z if rowindex(x) < k else 0.0) - 1) / k\n"
      "    return max(x - t, 0.0)\n");
  const auto values =
      EvaluateRow<double>(graph, {{0.5}, {1.0}, {-2.0}, {0.25}}, {})[0];

  const Row want = {0.25, 0.75, 0, 0};
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_NEAR(values[i], want[i], 1e-15);
  }
}

}  // namespace
}  // namespace actserve
