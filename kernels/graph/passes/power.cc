#include "kernels/graph/passes/power.h"

#include <limits>

namespace actserve {
namespace {

NodeId Square(Graph& graph, NodeId x) { return graph.Add(Op::kMul, x, x); }

// pow(x, 0.5): unlike the square root it is +0 at -0 and +inf at -inf.
NodeId SquareRoot(Graph& graph, NodeId x) {
  const double inf = std::numeric_limits<double>::infinity();
  const NodeId root =
      graph.Add(Op::kAdd, graph.Add(Op::kSqrt, x), graph.Constant(0));
  const NodeId is_minus_inf = graph.Add(Op::kEqual, x, graph.Constant(-inf));
  return graph.Add(Op::kSelect, is_minus_inf, graph.Constant(inf), root);
}

}  // namespace

NodeId Power(Graph& graph, NodeId base, double exponent) {
  if (exponent == 0) return graph.Constant(1);
  if (exponent == 0.5) return SquareRoot(graph, base);
  if (exponent == -1) {
    return graph.Add(Op::kDiv, graph.Constant(1), base);
  }
  if (exponent == -2) {
    return graph.Add(Op::kDiv, graph.Constant(1), Square(graph, base));
  }
  if (exponent == 1) return base;
  if (exponent == 2) return Square(graph, base);
  if (exponent == 3 || exponent == 5) {
    return graph.Add(Op::kMul, Power(graph, base, exponent - 1), base);
  }
  if (exponent == 4) return Square(graph, Square(graph, base));
  if (exponent == 6) return Square(graph, Power(graph, base, 3));
  return graph.Add(Op::kPow, base, graph.Constant(exponent));
}

}  // namespace actserve
