#include "kernels/graph/derive/differentiate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/graph/passes/simplify.h"
#include "kernels/graph/print.h"
#include "kernels/graph/reference/real_ops.h"
#include "kernels/graph/testing/graphs.h"

namespace actserve {
namespace {

using testing::GraphOf;
using testing::GraphOfExpression;
using testing::GraphOfRow;
using testing::Real;
using testing::SmoothPoints;
using testing::ValueAt;

// `graph` with its derivative by input `index` instead of its value.
Graph Derived(Graph graph, int index = 0) {
  const NodeId derivative =
      Differentiate(graph, graph.outputs[0].node, graph.Input(index));
  graph.outputs[0].node =
      derivative == kNoNode ? graph.Constant(0) : derivative;
  return graph;
}

// Differences over 1e-60 with 320 bits.
double Slope(const Graph& graph, std::vector<Real> at, int index) {
  const Real h("1e-60");
  std::vector<Real> up = at, down = at;
  up[index] = up[index] + h;
  down[index] = down[index] - h;
  return ((ValueAt<Real>(graph, up) - ValueAt<Real>(graph, down)) /
          (Real(2) * h))
      .ToDouble();
}

// Where `derived`, the derivative of `graph` by input `index`, is not what the
// differences say, at the points where `graph` has a value.
void ExpectSlopes(const Graph& graph, const Graph& derived, int index,
                  const std::vector<std::vector<double>>& points,
                  double tolerance) {
  for (const std::vector<double>& point : points) {
    const std::vector<Real> at(point.begin(), point.end());
    if (ValueAt<Real>(graph, at).IsNaN()) continue;
    const double want = Slope(graph, at, index);
    EXPECT_NEAR(ValueAt<Real>(derived, at).ToDouble(), want,
                tolerance * std::max(1.0, std::fabs(want)))
        << "by operand " << index << " at " << ::testing::PrintToString(point);
  }
}

// The rows whose value says what their derivative is. That of kDeclared does
// not, by design.
std::vector<OpInfo> RowsWithSlopes() {
  std::vector<OpInfo> rows;
  for (const OpInfo& info : AllOps()) {
    const bool is_number =
        info.arity > 0 && !info.returns_bool && !info.reads_row;
    if (is_number && info.op != Op::kDeclared) rows.push_back(info);
  }
  return rows;
}

TEST(Differentiate, EveryRowHasTheSlopesOfItsReference) {
  for (const OpInfo& info : RowsWithSlopes()) {
    SCOPED_TRACE(std::string(info.name));
    const Graph graph = GraphOfRow(info);
    for (int index = 0; index < info.arity; ++index) {
      ExpectSlopes(graph, Derived(graph, index), index, SmoothPoints(info),
                   1e-15);
    }
  }
}

// Second derivatives are what backward of backward needs.
TEST(Differentiate, EveryRowHasTheCurvaturesOfItsReference) {
  for (const OpInfo& info : RowsWithSlopes()) {
    SCOPED_TRACE(std::string(info.name));
    for (int first = 0; first < info.arity; ++first) {
      const Graph derived = Derived(GraphOfRow(info), first);
      for (int second = 0; second < info.arity; ++second) {
        ExpectSlopes(derived, Derived(derived, second), second,
                     SmoothPoints(info), 1e-12);
      }
    }
  }
}

TEST(Differentiate, DeclaredHasTheDerivativeOfItsSecondOperand) {
  const Graph graph = GraphOfRow(Info(Op::kDeclared));

  EXPECT_EQ(ValueAt<double>(Derived(graph, 0), {3, 5}), 0);
  EXPECT_EQ(ValueAt<double>(Derived(graph, 1), {3, 5}), 1);
}

TEST(Differentiate, FormulasOfTwoHaveTheSlopesOfTheirReference) {
  for (const char* expression :
       {"(x * y) ** 3 / (1 + x * x)", "x ** -2 * y ** 5", "y ** 0.5 * x",
        "x * x * y if x > y else y / x", "atan2(x * y, x - y)",
        "scaled_silu(x * y, x + y)"}) {
    const std::string text =
        std::string("def f(x, y):\n    return ") + expression + "\n";
    SCOPED_TRACE(text);
    const Graph graph = GraphOf(text);
    for (int index : {0, 1}) {
      const Graph derived = Derived(graph, index);
      for (double x : {0.37, 1.73, 3.19}) {
        const std::vector<Real> at = {x, 1.27};
        const double want = Slope(graph, at, index);
        EXPECT_NEAR(ValueAt<Real>(derived, at).ToDouble(), want,
                    1e-15 * std::max(1.0, std::fabs(want)))
            << index << " at " << x;
      }
    }
  }
}

TEST(Differentiate, CurvatureOfStablePrimitivesIsFiniteAtInfinity) {
  const double inf = std::numeric_limits<double>::infinity();
  for (Op op : {Op::kSigmoid, Op::kSoftplus, Op::kTanh, Op::kSilu, Op::kGelu,
                Op::kGeluTanh, Op::kMish, Op::kNormCdf, Op::kErf,
                Op::kExpMinusSquare, Op::kLogSigmoid}) {
    SCOPED_TRACE(std::string(Info(op).name));
    Graph graph;
    graph.inputs = {"x"};
    graph.outputs = {{"y", graph.Add(op, graph.Input(0))}};
    const Graph curvature = Derived(Derived(graph));
    for (double x : {-inf, -1e5, 1e5, inf}) {
      EXPECT_EQ(ValueAt<double>(curvature, {x}), 0) << "at " << x;
      EXPECT_EQ(ValueAt<float>(curvature, {static_cast<float>(x)}), 0)
          << "at " << x;
    }
  }
}

TEST(Differentiate, WhatIsFlatHasNoDerivative) {
  for (const char* expression :
       {"3.0", "floor(x)", "round(x) * 2", "sign(x) + trunc(x)", "x // 2",
        "1.0 if x > 0 else 2.0"}) {
    Graph graph = GraphOfExpression(expression);
    const NodeId derivative =
        Differentiate(graph, graph.outputs[0].node, graph.Input(0));
    const bool flat = derivative == kNoNode || graph.is_constant(derivative, 0);
    EXPECT_TRUE(flat) << expression;
  }
}

// The exponent's zero branch times an infinite slope is 0, not NaN.
TEST(Differentiate, ZeroBranchSurvivesAnInfiniteFactor) {
  struct Case {
    const char* body;
    double at;
    double want;
  };
  const Case cases[] = {
      {"    r = x if x > 0 else 0\n    return sqrt(r)\n", -1, 0},
      {"    r = x if x > 0 else 0\n    return log(r) * 2\n", -1, 0},
      {"    r = x * x if x > 1 else 0\n    return 1 / r\n", 0, 0},
      {"    r = x if x > 0 else 0\n    s = r if x > 1 else 0\n"
       "    return sqrt(s)\n",
       0.5, 0},
      {"    if x > 0:\n        return x\n    return x * 0 + exp(-1 / x)\n", 2,
       1},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.body);
    const Graph derived = Derived(GraphOf(std::string("def f(x):\n") + c.body));
    EXPECT_EQ(ValueAt<double>(derived, {c.at}), c.want);
    EXPECT_EQ(ValueAt<float>(derived, {static_cast<float>(c.at)}), c.want);
  }
}

// Sixty choices in a row: the derivative must stay linear in their number.
TEST(Differentiate, ChainsOfChoicesStaySmall) {
  const Graph graph = GraphOf(
      "def f(x, a=0.25):\n"
      "    for i in range(60):\n"
      "        x = x - 0.1 if x > 1 else a * x if x > -1 else 0\n"
      "    return x\n");

  const Graph derived = Simplify(Derived(graph));

  EXPECT_LT(derived.Weight(), 30 * graph.Weight());
}

TEST(Differentiate, DerivativeOfSiluIsOneOperation) {
  Graph graph;
  graph.inputs = {"x"};
  graph.outputs = {{"y", graph.Add(Op::kSilu, graph.Input(0))}};

  EXPECT_EQ(PrintGraph(Simplify(Derived(graph)), "f"),
            "def f(x):\n    t0 = silu_grad(x)\n    return t0\n");
}

}  // namespace
}  // namespace actserve
