#include "kernels/graph/derive/vanishing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "kernels/graph/derive/pull_back.h"
#include "kernels/graph/reference/real_ops.h"
#include "kernels/graph/testing/graphs.h"

namespace actserve {
namespace {

using testing::GraphOf;
using testing::Real;

Graph GraphOfRowFunction(const std::string& expression) {
  return GraphOf("def f(x, y, a=1.5, b=0.3):\n    return " + expression + "\n");
}

bool IsZero(const std::string& expression) {
  const Graph graph = GraphOfRowFunction(expression);
  return Vanishing(graph).IsZero(graph.outputs[0].node);
}

TEST(Vanishing, FindsWhatCancels) {
  for (const char* expression : {
           "x - x",
           "(x + y) * (x - y) - x * x + y * y",
           "x / y * y - x",
           "1 / (x + y) - (x - y) / (x * x - y * y)",
           "1 / (1 / x + 1 / y) - x * y / (x + y)",
           "x / 3 - x / (3 * y) * y",
           "rowsum(a * x) - a * rowsum(x)",
           "rowsum(x - rowmean(x))",
           "rowsum(3) - 3 * rowsize(x)",
           "rowsum(x * rowmax(y) / (a + b)) - rowmax(y) / (a + b) * rowsum(x)",
           "rowsum(exp(x) / rowsum(exp(x))) - 1",
           "(x if y > 0 else 0) - (0 if not y > 0 else x) "
           "if y > 0 or x > 0 else 0 * y",
           "(x if x > 0 or y > 0 else 0) - (0 if not x > 0 and not y > 0 else "
           "x)",
           "rowsum((x if x > 0 else y) * (2 if x > 0 else 3)) "
           "- rowsum(2 * x if x > 0 else 3 * y)",
       }) {
    EXPECT_TRUE(IsZero(expression)) << expression;
  }
}

TEST(Vanishing, KeepsWhatDoesNot) {
  for (const char* expression : {
           "x - y",
           "(x + y) * (x + y) - x * x - y * y",
           "x / (x + 1) - x / (x + 2)",
           "rowsum(x * y) - x * rowsum(y)",
           "rowsum(x * y) - rowsum(x) * rowsum(y)",
           "rowsum(x) - rowsize(x) * x",
           "rowsum(1) - 1",
           "rowsum(exp(x) / (rowsum(exp(x)) + 1)) - 1",
           // A divisor that a condition makes 0.
           "(x / (y if x > 0 else 0) if x > 0 else 0) - x / y",
           "0.1 + 0.2 - 0.3",
           // What is sorted or counted is not the same for a row.
           "rowsum(rowsorted(x) * y) - rowsorted(x) * rowsum(y)",
           "rowsum(rowindex(x) * y) - rowindex(x) * rowsum(y)",
       }) {
    EXPECT_FALSE(IsZero(expression)) << expression;
  }
}

TEST(Vanishing, GivesUpOnWhatIsLarge) {
  const std::string square = "(x + y + a + b) * (x + y + a + b)";
  const std::string fourth = "(" + square + ") * (" + square + ")";

  EXPECT_TRUE(IsZero(square + " * " + square + " - " + fourth));
  EXPECT_FALSE(IsZero(square + " * " + square + " * " + square + " * " +
                      square + " - (" + fourth + ") * (" + fourth + ")"));
}

TEST(Vanishing, GivesUpOnWhatIsLong) {
  const Graph graph = GraphOf(
      "def f(x, y, a=1.5):\n"
      "    s = 0\n"
      "    for i in range(500):\n"
      "        p = (x + y + a + i) * (x + y + a - i) * (x - y + a * i)\n"
      "        s = s + p * (x + a - i)\n"
      "    return (x - x) * s\n");

  EXPECT_FALSE(Vanishing(graph).IsZero(graph.outputs[0].node));
}

class RandomText {
 public:
  explicit RandomText(uint64_t seed) : random_(seed) {}

  int Below(int bound) { return static_cast<int>(random_() % bound); }

  std::string Expression(int depth) {
    if (depth == 0) {
      const char* const leaves[] = {"x", "y", "a", "b", "2", "0.7", "-1"};
      return leaves[Below(std::size(leaves))];
    }
    const std::string a = Expression(depth - 1), b = Expression(depth - 1);
    switch (Below(9)) {
      case 0:
      case 1:
        return "(" + a + " + " + b + ")";
      case 2:
        return "(" + a + " - " + b + ")";
      case 3:
        return "(" + a + " * " + b + ")";
      case 4:
        return "(" + a + " / " + b + ")";
      case 5:
        return "(" + a + " if " + b + " > 0.1 else " + Expression(0) + ")";
      case 6:
        return "rowsum(" + a + ")";
      case 7:
        return "rowmax(" + a + ")";
      default:
        return "sin(" + a + ")";
    }
  }

  // Many of these are 0, and many only look like it.
  std::string Difference() {
    const std::string a = Expression(1 + Below(2)), b = Expression(1),
                      c = Expression(Below(2));
    switch (Below(6)) {
      case 0:
        return c + " * (" + a + " + " + b + ") - " + c + " * " + a + " - " + c +
               " * " + b;
      case 1:
        return "rowsum(" + c + " * " + a + ") - " + c + " * rowsum(" + a + ")";
      case 2:
        return "(" + a + ") / " + b + " * " + b + " - (" + a + ")";
      case 3:
        return "(" + c + " if x > y else " + b + ") * (" + a + ") - (" + c +
               " * (" + a + ") if x > y else " + b + " * " + a + ")";
      case 4:
        return "1 / (" + a + " + " + b + ") - (" + a + " - " + b + ") / (" + a +
               " * (" + a + ") - " + b + " * " + b + ")";
      default:
        return "rowsum(" + a + ") / (" + c + " + " + b + ") - rowsum(" + a +
               " / (" + b + " + " + c + "))";
    }
  }

  std::vector<std::vector<Real>> Row() {
    std::vector<std::vector<Real>> row(5);
    std::uniform_real_distribution<double> numbers(-2, 2);
    for (auto& inputs : row) inputs = {numbers(random_), numbers(random_)};
    return row;
  }

 private:
  std::mt19937_64 random_;
};

// The oracle is 320 bits: a value that is said to be 0 is 0 but for rounding
// errors, measured by the largest value on the way.
TEST(Vanishing, IsZeroIn320Bits) {
  int num_zero = 0, num_other = 0;
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    RandomText random(seed);
    const std::string text = random.Difference();
    SCOPED_TRACE(text);
    Graph graph = GraphOfRowFunction(text);
    const bool is_zero = Vanishing(graph).IsZero(graph.outputs[0].node);
    const NodeId last = graph.outputs[0].node;
    graph.outputs.clear();
    for (NodeId i = 0; i <= last; ++i) {
      if (!graph.is_bool(i)) graph.outputs.push_back({"", i});
    }
    const auto values = EvaluateRow<Real>(graph, random.Row(), {1.5, 0.3});
    Real largest = 1;
    for (const auto& row : values) {
      for (const Real& value : row) {
        if (largest < Abs(value)) largest = Abs(value);
      }
    }
    bool all_zero = true;
    for (const Real& value : values.back()) {
      if (value.IsNaN()) continue;
      all_zero = all_zero && Abs(value) < largest * Real("1e-60");
    }
    EXPECT_TRUE(all_zero || !is_zero);
    ++(is_zero ? num_zero : num_other);
  }
  EXPECT_GT(num_zero, 500);
  EXPECT_GT(num_other, 500);
}

// The gradient of the first input, and whether it looks for a maximum.
bool PassesThroughMaximum(Graph graph) {
  graph.inputs.push_back("dy");
  const NodeId upstream =
      graph.Input(static_cast<int>(graph.inputs.size()) - 1);
  const std::vector<NodeId> gradient =
      PullBack(graph, graph.outputs[0].node, upstream, {graph.Input(0)});
  graph.outputs = {{"", gradient[0]}};
  const std::vector<bool> live = graph.LiveNodes();
  for (size_t i = 0; i < live.size(); ++i) {
    if (live[i] && graph.nodes()[i].op == Op::kEqual) return true;
  }
  return false;
}

TEST(Vanishing, TakesTheMaximumOutOfGradients) {
  const char* const kNormalized =
      "    d = x - rowmean(x)\n"
      "    z = d / sqrt(rowmean(d * d) + a)\n";
  for (const std::string& body : std::vector<std::string>{
           "    e = exp(x - rowmax(x))\n    return e / rowsum(e)\n",
           "    e = exp((x - rowmax(x)) / a)\n    return e / rowsum(e)\n",
           "    z = x / a\n    e = exp(z - rowmax(z))\n"
           "    return e * (1 / rowsum(e))\n",
           "    e = exp(rowmin(x) - x)\n    return e / rowsum(e)\n",
           "    z = x - rowmax(x)\n    return z - log(rowsum(exp(z)))\n",
           "    m = rowmax(x)\n    return x - m - log(rowsum(exp(x - m)))\n",
           "    m = rowmax(x)\n    return m + log(rowsum(exp(x - m)))\n",
           "    e = exp(x) / exp(rowmax(x))\n    return x * e / rowsum(e)\n",
           "    m = rowmax(x)\n"
           "    e = exp(x - m) if x > a else 0\n    return e / rowsum(e)\n",
           std::string(kNormalized) +
               "    e = exp(z - rowmax(z))\n    return e / rowsum(e)\n"}) {
    EXPECT_FALSE(PassesThroughMaximum(GraphOf("def f(x, a=1.5):\n" + body)))
        << body;
  }
  for (const std::string body :
       {"    return rowmax(x)\n",
        // With one more term in the sum the maximum counts.
        "    e = exp(x - rowmax(x))\n    return e / (1 + rowsum(e))\n",
        "    e = exp(x - rowmax(x))\n    return e\n",
        "    e = exp(x - a * rowmax(x))\n    return x * e / rowsum(e * e)\n"}) {
    EXPECT_TRUE(PassesThroughMaximum(GraphOf("def f(x, a=1.5):\n" + body)))
        << body;
  }
}

}  // namespace
}  // namespace actserve
