#include "kernels/graph/testing/graphs.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/graph/build/build.h"
#include "kernels/lang/parser.h"

namespace actserve::testing {

Graph GraphOf(std::string_view text) {
  const LanguageLimits limits;
  Diagnostics diagnostics(text);
  const auto module = Parse(text, {}, limits, diagnostics);
  if (module) {
    auto built = Build(*module, limits, diagnostics);
    if (built) return built->forward;
  }
  ADD_FAILURE() << text << diagnostics.Render();
  Graph empty;
  empty.inputs = {"x"};
  empty.outputs = {{"y", empty.Input(0)}};
  return empty;
}

Graph GraphOfExpression(std::string_view expression) {
  return GraphOf("def f(x):\n    return " + std::string(expression) + "\n");
}

Graph GraphOfRow(const OpInfo& info) {
  Graph graph;
  std::array<NodeId, 3> operands = {kNoNode, kNoNode, kNoNode};
  for (int i = 0; i < info.arity; ++i) {
    graph.inputs.push_back(absl::StrCat("x", i));
    operands[i] = graph.Input(i);
    if (TakesBool(info.op, i)) {
      operands[i] = graph.Add(Op::kLess, operands[i], graph.Constant(0));
    }
    if (IsDraw(info.op)) operands[i] = graph.Constant(5 + i);
  }
  const auto [a, b, c] = operands;
  graph.outputs = {{"y", graph.Add(info.op, a, b, c)}};
  return graph;
}

std::vector<std::vector<double>> SmoothPoints(const OpInfo& info) {
  // No quotient of an operand by the next is near a whole number.
  static const std::vector<double> kOperands[] = {
      {-6.37, -1.71, -0.83, -0.31, 0.27, 0.77, 1.83, 7.31},
      {-2.41, -0.59, 0.43, 3.17},
      {-1.13, 2.09}};
  std::vector<std::vector<double>> points = {{}};
  for (int i = 0; i < info.arity; ++i) {
    std::vector<std::vector<double>> longer;
    for (const std::vector<double>& point : points) {
      for (double operand : kOperands[i]) {
        longer.push_back(point);
        longer.back().push_back(operand);
      }
    }
    points = std::move(longer);
  }
  return points;
}

}  // namespace actserve::testing
