#include "kernels/graph/derive/row_ops.h"

#include <algorithm>
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
    varies[id] =
        node.op == Op::kInput || IsDraw(node.op) || IsByElement(node.op);
    if (Info(node.op).reads_row) continue;
    for (const NodeId operand : node.operands) {
      if (operand != kNoNode && varies[operand]) varies[id] = true;
    }
  }
  return varies;
}

// Sums over the row what is in front of what the row shares.
class Summer {
 public:
  Summer(Graph& graph, NodeId terms)
      : graph_(graph), varies_(VariesAlongRow(graph, terms)) {}

  NodeId Sum(NodeId terms) {
    std::vector<Taken> taken;
    const NodeId rest = Take(terms, taken);
    NodeId sum = SumOfRest(rest);
    for (size_t i = taken.size(); i-- > 0;) {
      sum = AddSimplified(graph_, taken[i].op, sum, taken[i].by);
    }
    return sum;
  }

 private:
  // A product of products may have more factors than the graph has nodes.
  static constexpr int kMaxFactors = 64;

  // Two sums if what both terms share with the row may then wait for others.
  NodeId SumOfRest(NodeId rest) {
    const Op op = graph_.node(rest).op;
    const auto [a, b, c] = graph_.node(rest).operands;
    if ((op == Op::kAdd || op == Op::kSub) && Shares(a) && Shares(b)) {
      const NodeId left = Sum(a);
      return AddSimplified(graph_, op, left, Sum(b));
    }
    return AddSimplified(graph_, Op::kRowSum, rest);
  }

  bool Shares(NodeId term) {
    std::vector<Taken> taken;
    Take(term, taken);
    return std::ranges::any_of(
        taken, [](const Taken& one) { return one.by != kNoNode; });
  }

  bool Varies(NodeId id) const {
    // Later nodes are products of what varies.
    return id >= static_cast<NodeId>(varies_.size()) || varies_[id];
  }

  // Returns `term` without those of its factors and divisors that are the same
  // for the row, and adds these to `taken`.
  NodeId Take(NodeId term, std::vector<Taken>& taken) {
    if (--budget_ < 0) return term;
    const Op op = graph_.node(term).op;
    const auto [a, b, c] = graph_.node(term).operands;
    if (op == Op::kNeg) {
      taken.push_back({op, kNoNode});
      return Take(a, taken);
    }
    if (op != Op::kMul && op != Op::kDiv) return term;
    if (!Varies(b) && Varies(a)) {
      taken.push_back({op, b});
      return Take(a, taken);
    }
    if (!Varies(a) && Varies(b) && op == Op::kMul) {
      taken.push_back({op, a});
      return Take(b, taken);
    }
    const NodeId left = Take(a, taken);
    const NodeId right = op == Op::kMul ? Take(b, taken) : b;
    return AddSimplified(graph_, op, left, right);
  }

  Graph& graph_;
  const std::vector<bool> varies_;
  int budget_ = kMaxFactors;
};

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
  return Summer(graph, terms).Sum(terms);
}

NodeId CountMax(Graph& graph, NodeId row_max) {
  return AddSimplified(graph, Op::kRowSum,
                       AddSimplified(graph, Op::kSelect, IsMax(graph, row_max),
                                     graph.Constant(1), graph.Constant(0)));
}

}  // namespace actserve
