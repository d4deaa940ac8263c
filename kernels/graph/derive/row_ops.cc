#include "kernels/graph/derive/row_ops.h"

#include <cstddef>
#include <limits>
#include <vector>

#include "kernels/graph/passes/simplify.h"

namespace actserve {
namespace {

NodeId IsMax(Graph& graph, NodeId row_max) {
  return AddSimplified(graph, Op::kEqual, graph.node(row_max).operands[0],
                       row_max);
}

// What was done to a term with what is the same for the row.
struct Taken {
  Op op;
  NodeId by;  // kNoNode for a negation
};

// Of the nodes up to `last`, those that may differ inside a row.
std::vector<bool> VariesAlongRow(const Graph& graph, NodeId last) {
  std::vector<bool> varies(last + 1, false);
  for (NodeId id = 0; id <= last; ++id) {
    const Node& node = graph.node(id);
    varies[id] = node.op == Op::kInput || IsByElement(node.op);
    if (Info(node.op).reads_row) continue;
    for (const NodeId operand : node.operands) {
      if (operand != kNoNode && varies[operand]) varies[id] = true;
    }
  }
  return varies;
}

// A product of products may have more factors than the graph has nodes.
constexpr int kMaxFactors = 64;

// Returns `term` without those of its factors and divisors that are the same
// for the row, and adds these to `taken`. Looks at `budget` nodes at most.
NodeId TakeShared(Graph& graph, const std::vector<bool>& varies, NodeId term,
                  std::vector<Taken>& taken, int& budget) {
  if (--budget < 0) return term;
  const Op op = graph.node(term).op;
  const auto [a, b, c] = graph.node(term).operands;
  if (op == Op::kNeg) {
    taken.push_back({op, kNoNode});
    return TakeShared(graph, varies, a, taken, budget);
  }
  if (op != Op::kMul && op != Op::kDiv) return term;
  if (!varies[b] && varies[a]) {
    taken.push_back({op, b});
    return TakeShared(graph, varies, a, taken, budget);
  }
  if (!varies[a] && varies[b] && op == Op::kMul) {
    taken.push_back({op, a});
    return TakeShared(graph, varies, b, taken, budget);
  }
  const NodeId left = TakeShared(graph, varies, a, taken, budget);
  const NodeId right =
      op == Op::kMul ? TakeShared(graph, varies, b, taken, budget) : b;
  return AddSimplified(graph, op, left, right);
}

}  // namespace

std::vector<NodeId> RowOpsOf(const Graph& graph, NodeId node) {
  const std::vector<bool> needed =
      graph.NodesFor({node}, [](NodeId) { return false; });
  std::vector<NodeId> row_ops;
  for (NodeId i = 0; i <= node; ++i) {
    if (needed[i] && Info(graph.node(i).op).reads_row) row_ops.push_back(i);
  }
  return row_ops;
}

NodeId WhereMax(Graph& graph, NodeId row_max, NodeId at) {
  const NodeId nan = graph.Constant(std::numeric_limits<double>::quiet_NaN());
  const NodeId has_max = AddSimplified(graph, Op::kEqual, row_max, row_max);
  const NodeId elsewhere =
      AddSimplified(graph, Op::kSelect, has_max, graph.Constant(0), nan);
  return AddSimplified(graph, Op::kSelect, IsMax(graph, row_max), at,
                       elsewhere);
}

NodeId SumOverRow(Graph& graph, NodeId terms) {
  std::vector<Taken> taken;
  int budget = kMaxFactors;
  const NodeId rest =
      TakeShared(graph, VariesAlongRow(graph, terms), terms, taken, budget);
  NodeId sum = AddSimplified(graph, Op::kRowSum, rest);
  for (size_t i = taken.size(); i-- > 0;) {
    sum = AddSimplified(graph, taken[i].op, sum, taken[i].by);
  }
  return sum;
}

NodeId CountMax(Graph& graph, NodeId row_max) {
  return AddSimplified(graph, Op::kRowSum,
                       AddSimplified(graph, Op::kSelect, IsMax(graph, row_max),
                                     graph.Constant(1), graph.Constant(0)));
}

}  // namespace actserve
