#ifndef ACTSERVE_KERNELS_GRAPH_COPY_H_
#define ACTSERVE_KERNELS_GRAPH_COPY_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "kernels/graph/graph.h"

namespace actserve {

// A graph with the inputs and parameters of `graph`, and nothing else.
Graph WithSignatureOf(const Graph& graph);

// Copies the live nodes of `from` to `to`: `leaf` says what an input or a
// parameter becomes, `add` adds every node that has operands (already nodes of
// `to`). Returns where each node of `from` went; kNoNode for dead ones.
std::vector<NodeId> CopyNodes(
    const Graph& from, Graph& to, absl::FunctionRef<NodeId(const Node&)> leaf,
    absl::FunctionRef<NodeId(Op, NodeId, NodeId, NodeId)> add);

// Copies the nodes of `from` that `needed` has; `leaf` says what a node
// becomes, or kNoNode for one that is copied with its operands, which `needed`
// has too. Returns where each node went.
std::vector<NodeId> CopyNodes(
    const Graph& from, const std::vector<bool>& needed, Graph& to,
    absl::FunctionRef<NodeId(NodeId)> leaf,
    absl::FunctionRef<NodeId(Op, NodeId, NodeId, NodeId)> add);

// As the first; inputs and parameters keep their index.
std::vector<NodeId> CopyNodes(
    const Graph& from, Graph& to,
    absl::FunctionRef<NodeId(Op, NodeId, NodeId, NodeId)> add);

// Sets the outputs of `to` to those of `from`, at the nodes they moved to.
void CopyOutputs(const Graph& from, const std::vector<NodeId>& moved,
                 Graph& to);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_COPY_H_
