#include "kernels/graph/build/stabilize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "kernels/graph/passes/simplify.h"
#include "kernels/graph/print.h"
#include "kernels/graph/reference/real_ops.h"
#include "kernels/graph/testing/graphs.h"

namespace actserve {
namespace {

using ::testing::ElementsAre;
using testing::GraphOf;
using testing::GraphOfExpression;
using testing::Real;
using testing::ValueAt;

// What the expression becomes, as text without the first line.
std::string StableForm(std::string_view expression) {
  const Graph graph = Simplify(GraphOfExpression(expression));
  const std::string text = PrintGraph(Simplify(Stabilize(graph, nullptr)), "f");
  return text.substr(text.find('\n') + 1);
}

std::string One(std::string_view call) {
  return "    t0 = " + std::string(call) + "\n    return t0\n";
}

struct Case {
  const char* expression;
  const char* call;
};

TEST(Stabilize, KnowsHowPeopleSpellThem) {
  const Case cases[] = {
      {"1 / (1 + exp(-x))", "sigmoid(x)"},
      {"1 / (exp(-x) + 1)", "sigmoid(x)"},
      {"np.exp(x) / (1.0 + np.exp(x))", "sigmoid(x)"},
      {"exp(-np.log1p(exp(-x))) if False else 1 / (1 + exp(-x))", "sigmoid(x)"},
      {"log(1 + exp(x))", "softplus(x)"},
      {"np.log1p(np.exp(x))", "softplus(x)"},
      {"max(x, 0) + log1p(exp(-abs(x)))", "softplus(x)"},
      {"log1p(exp(-abs(x))) + max(0, x)", "softplus(x)"},
      {"x + log(1 + exp(-x))", "softplus(x)"},
      {"min(x, 0) - log1p(exp(-abs(x)))", "logsigmoid(x)"},
      {"log(1 / (1 + exp(-x)))", "logsigmoid(x)"},
      {"-log(1 + exp(-x))", "logsigmoid(x)"},
      {"x / (1 + exp(-x))", "silu(x)"},
      {"x * 1 / (1 + exp(-x))", "silu(x)"},
      {"x * sigmoid(x)", "silu(x)"},
      {"x * sigmoid(1.702 * x)", "scaled_silu(x, 1.702)"},
      {"x / (1 + exp(-1.702 * x))", "scaled_silu(x, 1.702)"},
      {"x * sigmoid(x * -3 / 2)", "scaled_silu(x, -1.5)"},
      {"sigmoid(x) * (1 - sigmoid(x))", "sigmoid_grad(x)"},
      {"exp(-x) / (1 + exp(-x)) ** 2", "sigmoid_grad(x)"},
      {"0.5 * x * (1 + erf(x / sqrt(2)))", "gelu(x)"},
      {"0.5 * x * (1 + erf(x / 1.4142135623731))", "gelu(x)"},
      {"x * 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))", "gelu(x)"},
      {"x * (erf(x * 0.7071067811865475) + 1) / 2", "gelu(x)"},
      {"0.5 * x * erfc(-x / sqrt(2))", "gelu(x)"},
      {"x * normcdf(x)", "gelu(x)"},
      {"0.5 * (1 + erf(x / sqrt(2)))", "normcdf(x)"},
      {"exp(-x ** 2 / 2) / sqrt(2 * pi)", "normpdf(x)"},
      {"0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))",
       "gelu_tanh(x)"},
      {"0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * "
       "np.power(x, 3))))",
       "gelu_tanh(x)"},
      {"0.5 * x * (1 + tanh(x * 0.7978845608 * (1 + 0.044715 * x * x)))",
       "gelu_tanh(x)"},
      {"x * tanh(log(1 + exp(x)))", "mish(x)"},
      {"x * tanh(log1p(exp(x)))", "mish(x)"},
      {"1 - tanh(x) ** 2", "sech2(x)"},
      {"1 / cosh(x) ** 2", "sech2(x)"},
      {"(exp(x) - exp(-x)) / (exp(x) + exp(-x))", "tanh(x)"},
      {"x - tanh(x)", "tanhshrink(x)"},
      {"exp(x) - 1", "expm1(x)"},
      {"-1 + exp(x)", "expm1(x)"},
      {"log(1 + x)", "log1p(x)"},
      {"exp(-x * x)", "exp_minus_square(x)"},
      {"exp(-x ** 2)", "exp_minus_square(x)"},
      {"exp(-(x ** 2))", "exp_minus_square(x)"},
      {"2 ** x", "exp2(x)"},
      {"e ** x", "exp(x)"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(StableForm(c.expression), One(c.call)) << c.expression;
  }
}

TEST(Stabilize, LeavesWhatOnlyLooksLikeThem) {
  for (const char* expression :
       {"1 / (1 - exp(-x))", "1 / (2 + exp(-x))", "log(2 + exp(x))",
        "0.5 * x * (1 + tanh(0.8 * (x + 0.044715 * x**3)))",
        "0.5 * x * (1 + erf(x / 1.4))", "max(x, 0) + softplus(abs(x))",
        "1 + exp(x)", "x * sigmoid(1.702 + x)", "x * sigmoid(1.5 * x * x)",
        "x + tanh(x)", "1 - tanh(x) * tanh(2 * x)"}) {
    const Graph graph = Simplify(GraphOfExpression(expression));
    const std::string before = PrintGraph(graph, "f");
    const std::string after =
        PrintGraph(Simplify(Stabilize(graph, nullptr)), "f");
    // Parts may be rewritten, the whole must not become one call.
    EXPECT_NE(std::count(after.begin(), after.end(), '\n'), 3)
        << expression << "\n"
        << after;
  }
}

TEST(Stabilize, TakesParametersForAScale) {
  const Graph graph = Simplify(
      GraphOf("def f(x, b=1.0):\n    return 2 * x / (1 + exp(-3 * b * x))\n"));
  const std::string text = PrintGraph(Simplify(Stabilize(graph, nullptr)), "f");

  EXPECT_EQ(text,
            "def f(x, b=1.0):\n    t0 = 3.0 * b\n    t1 = scaled_silu(x, t0)\n"
            "    t2 = 2.0 * t1\n    return t2\n");
}

TEST(Stabilize, KeepsOtherFactors) {
  EXPECT_EQ(StableForm("-2.5 * x / (1 + exp(-x))"),
            "    t0 = silu(x)\n    t1 = -2.5 * t0\n    return t1\n");
}

TEST(Stabilize, LooksThroughNames) {
  const Graph graph = Simplify(
      GraphOf("def f(x):\n    z = exp(-x)\n    d = 1 + z\n    return x / d\n"));
  const std::string text = PrintGraph(Simplify(Stabilize(graph, nullptr)), "f");

  EXPECT_EQ(text, "def f(x):\n" + One("silu(x)"));
}

TEST(Stabilize, ReportsEachRuleOnce) {
  const Graph graph =
      Simplify(GraphOfExpression("x / (1 + exp(-x)) + 1 / (1 + exp(-2 * x))"));
  std::vector<std::string> rewrites;

  Stabilize(graph, &rewrites);

  EXPECT_THAT(rewrites, ElementsAre("1 / (1 + exp(-x)) -> sigmoid(x)",
                                    "x * sigmoid(x) -> silu(x)"));
}

// Both sides of every rule with 320 bits, over range enough to tell apart
// what only agrees near 0. Constants of a left side have 53 bits, which the
// tails of erfc amplify by x^2; beyond them 1 - normcdf(x) needs more bits.
TEST(Stabilize, BothSidesOfEachRuleAreEqual) {
  for (const StabilizeRule& rule : StabilizeRules()) {
    SCOPED_TRACE(std::string(rule.left) + " -> " + std::string(rule.right));
    const std::string head = "def f(x, b=-1.3):\n    return ";
    const Graph left = GraphOf(head + std::string(rule.left) + "\n");
    const Graph right = GraphOf(head + std::string(rule.right) + "\n");
    int compared = 0;
    for (double x :
         {-11.7, -8.3, -2.9, -0.71, -1e-3, 1e-4, 0.37, 1.9, 7.7, 12.3}) {
      const Real a = ValueAt<Real>(left, {x}), b = ValueAt<Real>(right, {x});
      if (a.IsNaN()) continue;
      ++compared;
      const double error = (Abs(a - b) / Max(Abs(b), Real(1e-300))).ToDouble();
      EXPECT_LE(error, 1e-15 * (1 + x * x)) << "at " << x;
    }
    EXPECT_GE(compared, 5);
  }
}

TEST(Stabilize, EveryRuleSaysWhy) {
  for (const StabilizeRule& rule : StabilizeRules()) {
    EXPECT_FALSE(rule.proof.empty()) << rule.left;
  }
}

}  // namespace
}  // namespace actserve
