#include "kernels/graph/derive/pull_back.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/graph/passes/row_stages.h"
#include "kernels/graph/reference/real_ops.h"
#include "kernels/graph/testing/graphs.h"

namespace actserve {
namespace {

using testing::GraphOf;
using testing::kRowTexts;
using testing::Real;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// f of a row, and the upstream gradient as a second input.
Graph WithUpstream(std::string_view text) {
  Graph graph = GraphOf(text);
  graph.inputs.push_back("dy");
  return graph;
}

// `graph` with the gradients by its first input and by its parameter.
Graph Gradients(Graph graph, NodeId upstream) {
  const std::vector<NodeId> gradients =
      PullBack(graph, graph.outputs[0].node, upstream,
               {graph.Input(0), graph.ParameterNode(0)});
  graph.outputs = {};
  for (const NodeId gradient : gradients) {
    graph.outputs.push_back(
        {"", gradient == kNoNode ? graph.Constant(0) : gradient});
  }
  return graph;
}

std::vector<std::vector<double>> Evaluated(const Graph& graph,
                                           const std::vector<double>& x,
                                           const std::vector<double>& dy,
                                           double parameter) {
  std::vector<std::vector<double>> inputs;
  for (size_t i = 0; i < x.size(); ++i) inputs.push_back({x[i], dy[i]});
  return EvaluateRow<double>(graph, inputs, {parameter});
}

// Points of a row, where something may be moved.
struct Row {
  std::vector<std::vector<Real>> inputs;
  Real parameter;

  Real* At(size_t element) {
    return element < inputs.size() ? &inputs[element][0] : &parameter;
  }
  size_t num_variables() const { return inputs.size() + 1; }
};

// The sum over the row of the first output times what `weight` says.
Real Weighed(const Graph& graph, const Row& row,
             const std::vector<Real>& weights) {
  const auto values = EvaluateRow<Real>(graph, row.inputs, {row.parameter})[0];
  Real sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    sum = sum + values[i] * weights[i];
  }
  return sum;
}

Row PointsOf(const Graph& graph) {
  return {{{0.7, 1.3}, {-1.1, 0.4}, {0.2, -2.1}, {2.3, 0.9}, {-0.4, 0.6}},
          graph.parameters[0].default_value};
}

// Holds the two outputs of `gradients` to differences of 320 bits: of the sum
// of `weights` times the first output of `graph`.
void ExpectGradients(const Graph& graph, const Graph& gradients, const Row& row,
                     const std::vector<Real>& weights, double tolerance) {
  const auto got = EvaluateRow<Real>(gradients, row.inputs, {row.parameter});
  const Real h("1e-40");
  for (size_t v = 0; v < row.num_variables(); ++v) {
    Row up = row, down = row;
    *up.At(v) = *up.At(v) + h;
    *down.At(v) = *down.At(v) - h;
    const Real want =
        (Weighed(graph, up, weights) - Weighed(graph, down, weights)) /
        (Real(2) * h);
    Real found = 0;
    if (v < row.inputs.size()) {
      found = got[0][v];
    } else {
      for (const Real& term : got[1]) found = found + term;
    }
    EXPECT_NEAR(found.ToDouble(), want.ToDouble(),
                tolerance * std::max(1.0, std::fabs(want.ToDouble())))
        << "by variable " << v;
  }
}

TEST(PullBack, AgreesWithDifferences) {
  for (const std::string_view text : kRowTexts) {
    SCOPED_TRACE(text);
    Graph graph = WithUpstream(text);
    const Row row = PointsOf(graph);
    std::vector<Real> weights;
    for (const auto& inputs : row.inputs) weights.push_back(inputs[1]);

    ExpectGradients(graph, Gradients(graph, graph.Input(1)), row, weights,
                    1e-14);
  }
}

// The pass applies to its own result.
TEST(PullBack, AgreesWithDifferencesInSecondOrder) {
  const std::vector<Real> weights = {0.3, -1.2, 0.8, 0.5, 2.0};
  for (const std::string_view text : kRowTexts) {
    SCOPED_TRACE(text);
    Graph graph = WithUpstream(text);
    Graph gradients = Gradients(graph, graph.Input(1));
    gradients.outputs.resize(1);
    // A third input holds the weights, as the second upstream gradient.
    gradients.inputs.push_back("ddx");
    Row row = PointsOf(graph);
    for (size_t i = 0; i < weights.size(); ++i) {
      row.inputs[i].push_back(weights[i]);
    }

    ExpectGradients(gradients, Gradients(gradients, gradients.Input(2)), row,
                    weights, 1e-13);
  }
}

TEST(PullBack, SharesTheGradientOfAMaximumAmongTies) {
  Graph graph = WithUpstream("def f(x, a=0):\n    return rowmax(x)\n");
  const Graph gradients = Gradients(graph, graph.Input(1));

  EXPECT_EQ(Evaluated(gradients, {1, 3, 3, 2}, {1, 2, 3, 4}, 0)[0],
            (std::vector<double>{0, 5, 5, 0}));
  EXPECT_EQ(Evaluated(gradients, {-kInf, -kInf}, {1, 2}, 0)[0],
            (std::vector<double>{1.5, 1.5}));
  EXPECT_TRUE(std::isnan(Evaluated(gradients, {1, kNaN}, {1, 1}, 0)[0][0]));
}

TEST(PullBack, NothingLeaksFromTheBranchNotTaken) {
  Graph graph = WithUpstream(
      "def f(x, a=0):\n    return rowsum(sqrt(x) if x > 0 else 0 * x)\n");
  const Graph gradients = Gradients(graph, graph.Input(1));

  EXPECT_EQ(Evaluated(gradients, {4, -1, 0}, {1, 1, 1}, 0)[0],
            (std::vector<double>{0.75, 0, 0}));
}

// Shares of a whole do not change with its size: the sum of x * dy, not of
// x / sum / sum * dy, gives an exact 0.
TEST(PullBack, TakesWhatTheRowSharesOutOfSums) {
  Graph graph = WithUpstream("def f(x, a=0):\n    return -(x / rowsum(x))\n");
  const Graph gradients = Gradients(graph, graph.Input(1));

  EXPECT_EQ(Evaluated(gradients, {1, 2, 7}, {1, 1, 1}, 0)[0],
            (std::vector<double>{0, 0, 0}));
}

// Otherwise one stage of the device waits for the other.
TEST(PullBack, SumsOfOneGradientDoNotWaitForEachOther) {
  Graph graph = WithUpstream(
      "def f(x, a=1e-5):\n"
      "    d = x - rowmean(x)\n"
      "    return d / sqrt(rowmean(d * d) + a)\n");

  const RowStages stages = CutIntoStages(Gradients(graph, graph.Input(1)));

  // The mean, the sums that need it, the gradient.
  EXPECT_EQ(stages.stages.size(), 3);
}

// The mean also moves the variance, but the deviations from it add up to 0.
TEST(PullBack, LeavesOutTheSumsThatCancel) {
  Graph graph = WithUpstream(
      "def f(x, a=1e-5):\n"
      "    d = x - rowmean(x)\n"
      "    return d / sqrt(rowmean(d * d) + a)\n");
  Graph gradients = Gradients(graph, graph.Input(1));
  gradients.outputs.resize(1);

  const std::vector<bool> live = gradients.LiveNodes();
  int num_sums = 0;
  for (size_t i = 0; i < live.size(); ++i) {
    if (live[i] && gradients.nodes()[i].op == Op::kRowSum) ++num_sums;
  }

  // Of x, of d * d, and of dy alone and times d.
  EXPECT_EQ(num_sums, 4);
}

TEST(PullBack, EndsForAProductOfMoreFactorsThanNodes) {
  std::string text = "def f(x, a=0):\n    y = x / rowsum(x)\n";
  for (int i = 0; i < 100; ++i) text += "    y = y * y / 2\n";
  Graph graph = WithUpstream(text + "    return x + rowsum(y)\n");

  const Graph gradients = Gradients(graph, graph.Input(1));

  EXPECT_EQ(Evaluated(gradients, {1}, {1}, 0)[0], std::vector<double>{1});
}

TEST(PullBack, IsAbsentWhereNothingDepends) {
  Graph graph = WithUpstream("def f(x, a=2.0):\n    return rowsize(x) * x\n");

  const std::vector<NodeId> gradients = PullBack(
      graph, graph.outputs[0].node, graph.Input(1), {graph.ParameterNode(0)});

  EXPECT_EQ(gradients, std::vector<NodeId>{kNoNode});
}

}  // namespace
}  // namespace actserve
