#include "kernels/graph/derive/push_forward.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

#include "kernels/graph/derive/pull_back.h"
#include "kernels/graph/reference/real_ops.h"
#include "kernels/graph/testing/graphs.h"

namespace actserve {
namespace {

using testing::GraphOf;
using testing::kRowTexts;
using testing::Real;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// The tangent of `text` when x moves along a second input and a along 0.7.
Graph Pushed(std::string_view text) {
  Graph graph = GraphOf(text);
  graph.inputs.push_back("dx");
  const NodeId tangent =
      PushForward(graph, graph.outputs[0].node,
                  {{graph.Input(0), graph.Input(1)},
                   {graph.ParameterNode(0), graph.Constant(0.7)}});
  graph.outputs[0].node = tangent == kNoNode ? graph.Constant(0) : tangent;
  return graph;
}

std::vector<double> At(const Graph& graph,
                       const std::vector<std::vector<double>>& inputs) {
  return EvaluateRow<double>(graph, inputs, {0.5})[0];
}

TEST(PushForward, AgreesWithDifferences) {
  const std::vector<std::vector<Real>> row = {
      {0.7, 1.3}, {-1.1, 0.4}, {0.2, -2.1}, {2.3, 0.9}, {-0.4, 0.6}};
  for (const std::string_view text : kRowTexts) {
    SCOPED_TRACE(text);
    const Graph graph = GraphOf(text);
    const Real a = graph.parameters[0].default_value;
    const Real h("1e-40");
    const auto moved = [&](const Real& by) {
      std::vector<std::vector<Real>> inputs;
      for (const auto& element : row) {
        inputs.push_back({element[0] + by * element[1]});
      }
      return EvaluateRow<Real>(graph, inputs, {a + by * Real(0.7)})[0];
    };
    const auto up = moved(h), down = moved(-h);

    const auto got = EvaluateRow<Real>(Pushed(text), row, {a})[0];

    for (size_t e = 0; e < row.size(); ++e) {
      const double want = ((up[e] - down[e]) / (Real(2) * h)).ToDouble();
      EXPECT_NEAR(got[e].ToDouble(), want,
                  1e-14 * std::max(1.0, std::fabs(want)));
    }
  }
}

// <upstream, J direction> is <J^T upstream, direction>.
TEST(PushForward, IsTheTransposeOfPullBack) {
  const std::vector<std::vector<Real>> row = {
      {0.7, 1.3, -0.3}, {-1.1, 0.4, 2.2}, {0.2, -2.1, 0.8}, {2.3, 0.9, 1.1}};
  for (const std::string_view text : kRowTexts) {
    SCOPED_TRACE(text);
    Graph graph = GraphOf(text);
    graph.inputs.insert(graph.inputs.end(), {"dx", "dy"});
    const NodeId y = graph.outputs[0].node;
    const NodeId pushed =
        PushForward(graph, y, {{graph.Input(0), graph.Input(1)}});
    const NodeId pulled =
        PullBack(graph, y, graph.Input(2), {graph.Input(0)})[0];
    graph.outputs = {{"", pushed}, {"", pulled}};

    const auto values =
        EvaluateRow<Real>(graph, row, {graph.parameters[0].default_value});

    Real left = 0, right = 0;
    for (size_t e = 0; e < row.size(); ++e) {
      left = left + values[0][e] * row[e][2];
      right = right + values[1][e] * row[e][1];
    }
    EXPECT_LT(Abs(left - right).ToDouble(), 1e-80);
  }
}

TEST(PushForward, TakesTheMeanOfTiedMaxima) {
  Graph graph = GraphOf("def f(x, a=0):\n    return rowmax(x)\n");
  graph.inputs.push_back("dx");
  graph.outputs[0].node = PushForward(graph, graph.outputs[0].node,
                                      {{graph.Input(0), graph.Input(1)}});

  EXPECT_EQ(At(graph, {{1, 9}, {3, 2}, {3, 6}})[0], 4);
  EXPECT_TRUE(std::isnan(At(graph, {{1, 9}, {kNaN, 2}})[0]));
}

TEST(PushForward, NothingLeaksFromTheBranchNotTaken) {
  const Graph graph = Pushed(
      "def f(x, a=0.5):\n    return rowsum(sqrt(x) if x > 0 else 0 * x)\n");

  EXPECT_EQ(At(graph, {{4, 1}, {-1, 1}, {0, 1}})[0], 0.25);
}

TEST(PushForward, IsAbsentWhereNothingMoves) {
  Graph graph = GraphOf("def f(x, a=0.5):\n    return rowsize(x) * a\n");

  EXPECT_EQ(PushForward(graph, graph.outputs[0].node,
                        {{graph.Input(0), graph.Constant(1)}}),
            kNoNode);
}

}  // namespace
}  // namespace actserve
