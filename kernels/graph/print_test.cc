#include "kernels/graph/print.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/graph/testing/graphs.h"

namespace actserve {
namespace {

using testing::GraphOf;

TEST(Print, WritesOneOperationALine) {
  EXPECT_EQ(PrintGraph(GraphOf("def f(x, a=0.25):\n"
                               "    return a * x if x < 0 and not x <= a "
                               "else fmod(x, 2) ** x\n"),
                       "f"),
            "def f(x, a=0.25):\n"
            "    t0 = x < 0.0\n"
            "    t1 = x <= a\n"
            "    t2 = not t1\n"
            "    t3 = t0 and t2\n"
            "    t4 = a * x\n"
            "    t5 = fmod(x, 2.0)\n"
            "    t6 = t5 ** x\n"
            "    t7 = t4 if t3 else t6\n"
            "    return t7\n");
}

TEST(Print, KeepsClearOfTheTextsNames) {
  const std::string text =
      PrintGraph(GraphOf("def f(t0, t=1.0):\n    return exp(t0) * t\n"), "f");

  EXPECT_EQ(text,
            "def f(t0, t=1.0):\n"
            "    t_0 = exp(t0)\n"
            "    t_1 = t_0 * t\n"
            "    return t_1\n");
}

TEST(Print, RenamesAFunctionCalledLikeAnOperation) {
  EXPECT_EQ(PrintGraph(GraphOf("def f(x):\n    return tanh(x)\n"), "tanh"),
            "def tanh_(x):\n    t0 = tanh(x)\n    return t0\n");
}

TEST(Print, NegativeBasesReadBack) {
  Graph graph;
  graph.inputs = {"x"};
  graph.outputs = {
      {"y", graph.Add(Op::kPow, graph.Constant(-2), graph.Input(0))}};
  const std::string text = PrintGraph(graph, "f");

  EXPECT_EQ(PrintGraph(GraphOf(text), "f"), text);
}

TEST(Print, NumbersReadBackExactly) {
  struct Case {
    double value;
    const char* text;
  };
  const Case cases[] = {
      {0, "0.0"},
      {-0.0, "-0.0"},
      {1, "1.0"},
      {0.1, "0.1"},
      {-2.5, "-2.5"},
      {1e22, "1e+22"},
      {5e-324, "5e-324"},
      {0.1 + 0.2, "0.30000000000000004"},
      {std::numeric_limits<double>::infinity(), "math.inf"},
      {-std::numeric_limits<double>::infinity(), "-math.inf"},
      {std::nan(""), "math.nan"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(PrintNumber(c.value), c.text);
    const Graph graph =
        GraphOf("def f(x):\n    return " + PrintNumber(c.value) + "\n");
    EXPECT_TRUE(
        testing::SameBits(testing::ValueAt<double>(graph, {0.0}), c.value))
        << c.text;
  }
}

TEST(Print, CutsATextAtTheEndOfALine) {
  const Graph graph = GraphOf("def f(x):\n    return tanh(exp(x)) * x\n");
  const std::string whole = PrintGraph(graph, "f");

  EXPECT_EQ(PrintGraph(graph, "f", whole.size()), whole);
  EXPECT_EQ(PrintGraph(graph, "f", whole.size() - 1),
            "def f(x):\n"
            "    t0 = exp(x)\n"
            "    t1 = tanh(t0)\n"
            "    t2 = t1 * x\n"
            "# cut: the rest is beyond 73 bytes\n");
  EXPECT_EQ(PrintGraph(graph, "f", 5), "# cut: the rest is beyond 5 bytes\n");
}

}  // namespace
}  // namespace actserve
