#include "kernels/graph/passes/declared.h"

#include <gtest/gtest.h>

#include "kernels/graph/print.h"
#include "kernels/graph/testing/graphs.h"

namespace actserve {
namespace {

using testing::GraphOf;

Graph GradientOf(std::string_view expression) {
  return GraphOf("def g(x, dy):\n    return " + std::string(expression) + "\n");
}

struct Case {
  const char* expression;
  bool is_linear;
};

TEST(Declared, KnowsWhatIsLinear) {
  const Case cases[] = {
      {"dy", true},
      {"-2 * dy * exp(x) / (1 + x)", true},
      {"dy if abs(x) < 1 else 0", true},
      {"dy * x - dy / 3", true},
      {"0", true},
      {"dy if x > 0 else dy * x", true},
      {"(dy if x > 0 else 0) * sigmoid(x)", true},
      {"where(abs(x) < 1, dy, 0)", true},
      {"dy * (1.0 if x > 0 else 0.1)", true},
      {"2 * (dy if x > 0 else -dy) / (1 + abs(x)) ** 2", true},
      {"dy + 1", false},
      {"0 * dy + 1", false},
      {"x", false},
      {"dy * dy", false},
      {"x / dy", false},
      {"abs(dy)", false},
      {"clamp(dy, -1, 1)", false},
      {"dy if dy > 0 else 2 * dy", false},
      {"dy if x > 0 else 1", false},
      {"max(dy, 0)", false},
      {"min(max(dy, -1), 1)", false},
      {"dy ** 2", false},
      {"round(dy)", false},
      {"dy % 1", false},
      {"dy / max(abs(dy), 1)", false},
      {"dy if x > 0 else nan", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(IsLinearInUpstream(GradientOf(c.expression)), c.is_linear)
        << c.expression;
  }
}

TEST(Declared, UnitUpstreamIsTheDerivative) {
  const Graph unit =
      WithUnitUpstream(GradientOf("dy * exp(x) if x > 0 else 0"));

  EXPECT_EQ(PrintGraph(unit, "g"),
            "def g(x):\n"
            "    t0 = 0.0 < x\n"
            "    t1 = exp(x)\n"
            "    t2 = t1 if t0 else 0.0\n"
            "    return t2\n");
}

TEST(Declared, IsStrippedForPrograms) {
  const Graph graph = GraphOf("def f(x):\n    return relu(x)\n");
  const Graph stripped = WithoutDeclared(graph);

  EXPECT_EQ(graph.node(graph.outputs[0].node).op, Op::kDeclared);
  for (const Node& node : stripped.nodes()) {
    EXPECT_NE(node.op, Op::kDeclared);
  }
}

}  // namespace
}  // namespace actserve
