#include "kernels/graph/derive/row_ops.h"

#include <limits>

#include "kernels/graph/passes/simplify.h"

namespace actserve {
namespace {

NodeId IsMax(Graph& graph, NodeId row_max) {
  return AddSimplified(graph, Op::kEqual, graph.node(row_max).operands[0],
                       row_max);
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

NodeId CountMax(Graph& graph, NodeId row_max) {
  return AddSimplified(graph, Op::kRowSum,
                       AddSimplified(graph, Op::kSelect, IsMax(graph, row_max),
                                     graph.Constant(1), graph.Constant(0)));
}

}  // namespace actserve
