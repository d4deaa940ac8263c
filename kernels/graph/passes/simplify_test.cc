#include "kernels/graph/passes/simplify.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/graph/print.h"
#include "kernels/graph/testing/graphs.h"
#include "kernels/graph/testing/random_program.h"

namespace actserve {
namespace {

using testing::GraphOf;
using testing::GraphOfExpression;
using testing::SameBits;
using testing::ValueAt;

std::string SimpleForm(const Graph& graph) {
  const std::string text = PrintGraph(Simplify(graph), "f");
  return text.substr(text.find('\n') + 1);
}

struct Case {
  const char* expression;
  const char* lines;  // of the body, separated by ';'
};

TEST(Simplify, AppliesEachRule) {
  const Case cases[] = {
      {"x * 1", "return x"},
      {"1 * x", "return x"},
      {"x * -1", "t0 = -x;return t0"},
      {"x / 1", "return x"},
      {"x / -1", "t0 = -x;return t0"},
      {"x / 4", "t0 = x * 0.25;return t0"},
      {"x / 3", "t0 = x / 3.0;return t0"},
      {"x + -0.0", "return x"},
      {"x - 0.0", "return x"},
      {"-0.0 - x", "t0 = -x;return t0"},
      {"-(-x)", "return x"},
      {"x + -(2 ** x)", "t0 = 2.0 ** x;t1 = x - t0;return t1"},
      {"x - -(2 ** x)", "t0 = 2.0 ** x;t1 = x + t0;return t1"},
      {"(-x) * (-x)", "t0 = x * x;return t0"},
      {"-(3 * x)", "t0 = -3.0 * x;return t0"},
      {"-(x / 3)", "t0 = x / -3.0;return t0"},
      {"abs(-x)", "t0 = abs(x);return t0"},
      {"cosh(-x)", "t0 = cosh(x);return t0"},
      {"abs(abs(x))", "t0 = abs(x);return t0"},
      {"max(x, x)", "return x"},
      {"floor(round(x))", "t0 = round(x);return t0"},
      {"x % 1", "t0 = floormod1(x);return t0"},
      {"x ** 1", "return x"},
      {"1 if x < x else 2", "return 2.0"},
      {"1 if x > inf else x", "return x"},
      {"1 if x < -inf else x", "return x"},
      {"x.clamp(min=2)", "t0 = x < 2.0;t1 = 2.0 if t0 else x;return t1"},
      {"x if x > 0 else x", "return x"},
      {"(1 if x > 0 else 2) if x > 0 else 3",
       "t0 = 0.0 < x;t1 = 1.0 if t0 else 3.0;return t1"},
      {"1 if not x > 0 else 2",
       "t0 = 0.0 < x;t1 = 2.0 if t0 else 1.0;return t1"},
      {"1 if not x == 0 else 2",
       "t0 = x != 0.0;t1 = 1.0 if t0 else 2.0;return t1"},
      {"1 if x > 0 and x > 0 else 2",
       "t0 = 0.0 < x;t1 = 1.0 if t0 else 2.0;return t1"},
      {"1 if x > 0 or 2 > 1 else 2", "return 1.0"},
      {"(1 if x > 0 else 0) + (2 if x > 0 else x)",
       "t0 = 0.0 < x;t1 = 0.0 + x;t2 = 3.0 if t0 else t1;return t2"},
  };
  for (const Case& c : cases) {
    std::string want = "    " + std::string(c.lines) + "\n";
    for (size_t i; (i = want.find(';')) != std::string::npos;) {
      want.replace(i, 1, "\n    ");
    }
    EXPECT_EQ(SimpleForm(GraphOfExpression(c.expression)), want)
        << c.expression;
  }
}

// Each of these is a rule of school algebra and wrong for some number.
TEST(Simplify, LeavesWhatIsNotExact) {
  for (const char* expression :
       {"x + 0.0", "0.0 - x", "x * 0", "x - x", "x / x", "0 / x", "(x + 1) - 1",
        "x * 3 / 3", "1 / (1 / x)", "sqrt(x * x)", "1 if x == x else 2",
        "1 if not x > 0 else (2 if x <= 0 else 3)", "1 if x <= x else 2",
        "max(x, 0)", "x / 1e300"}) {
    const Graph graph = GraphOfExpression(expression);
    EXPECT_GE(Simplify(graph).Weight(), graph.Weight() - 1) << expression;
    for (double x : testing::InterestingNumbers(7, 50)) {
      EXPECT_TRUE(SameBits(ValueAt<double>(Simplify(graph), {x}),
                           ValueAt<double>(graph, {x})))
          << expression << " at " << x;
    }
  }
}

TEST(Simplify, KeepsMinusZero) {
  EXPECT_TRUE(std::signbit(
      ValueAt<double>(Simplify(GraphOfExpression("x + -0.0")), {-0.0})));
  EXPECT_FALSE(std::signbit(
      ValueAt<double>(Simplify(GraphOfExpression("x + 0.0")), {-0.0})));
}

TEST(Simplify, EvenFunctionsAreEvenInTheirBits) {
  for (Op op : {Op::kAbs, Op::kCos, Op::kCosh, Op::kSigmoidGrad, Op::kSech2,
                Op::kNormPdf, Op::kExpMinusSquare}) {
    for (double x : testing::InterestingNumbers(3, 2000)) {
      const float x32 = static_cast<float>(x);
      ASSERT_TRUE(SameBits(NumberOps<double>::Apply(op, x, x),
                           NumberOps<double>::Apply(op, -x, -x)))
          << Info(op).name << " at " << x;
      ASSERT_TRUE(SameBits(NumberOps<float>::Apply(op, x32, x32),
                           NumberOps<float>::Apply(op, -x32, -x32)))
          << Info(op).name << " at " << x;
    }
  }
}

TEST(Simplify, FoldsOnlyWhatBothTypesAgreeAbout) {
  Graph graph;
  graph.inputs = {"x"};
  const NodeId tenth = graph.Constant(0.1);
  const NodeId disagree = AddSimplified(graph, Op::kMul, tenth, tenth);
  const NodeId agree =
      AddSimplified(graph, Op::kAdd, graph.Constant(1), graph.Constant(2));

  EXPECT_FALSE(graph.is_constant(disagree));
  EXPECT_TRUE(graph.is_constant(agree, 3));
}

TEST(Simplify, DropsWhatNothingNeeds) {
  const Graph graph = GraphOf("def f(x):\n    unused = exp(x)\n    return x\n");

  EXPECT_EQ(Simplify(graph).nodes().size(), 1u);
}

}  // namespace
}  // namespace actserve
