#include "kernels/graph/copy.h"

namespace actserve {

Graph WithSignatureOf(const Graph& graph) {
  Graph result;
  result.inputs = graph.inputs;
  result.parameters = graph.parameters;
  return result;
}

std::vector<NodeId> CopyNodes(
    const Graph& from, const std::vector<bool>& needed, Graph& to,
    absl::FunctionRef<NodeId(NodeId)> leaf,
    absl::FunctionRef<NodeId(Op, NodeId, NodeId, NodeId)> add) {
  std::vector<NodeId> moved(from.nodes().size(), kNoNode);
  const auto at = [&moved](NodeId id) {
    return id == kNoNode ? kNoNode : moved[id];
  };
  for (size_t i = 0; i < moved.size(); ++i) {
    if (!needed[i]) continue;
    moved[i] = leaf(static_cast<NodeId>(i));
    if (moved[i] != kNoNode) continue;
    const Node& node = from.nodes()[i];
    switch (node.op) {
      case Op::kParameter:
        moved[i] = to.ParameterNode(node.index);
        break;
      case Op::kConstant:
        moved[i] = to.Constant(node.constant);
        break;
      case Op::kBool:
        moved[i] = to.Bool(node.constant != 0);
        break;
      default:
        moved[i] = add(node.op, at(node.operands[0]), at(node.operands[1]),
                       at(node.operands[2]));
    }
  }
  return moved;
}

std::vector<NodeId> CopyNodes(
    const Graph& from, Graph& to, absl::FunctionRef<NodeId(const Node&)> leaf,
    absl::FunctionRef<NodeId(Op, NodeId, NodeId, NodeId)> add) {
  const auto leaf_of = [&](NodeId id) {
    const Node& node = from.node(id);
    const bool is_leaf = node.op == Op::kInput || node.op == Op::kParameter;
    return is_leaf ? leaf(node) : kNoNode;
  };
  return CopyNodes(from, from.LiveNodes(), to, leaf_of, add);
}

std::vector<NodeId> CopyNodes(
    const Graph& from, Graph& to,
    absl::FunctionRef<NodeId(Op, NodeId, NodeId, NodeId)> add) {
  const auto leaf = [&to](const Node& node) {
    return node.op == Op::kInput ? to.Input(node.index)
                                 : to.ParameterNode(node.index);
  };
  return CopyNodes(from, to, leaf, add);
}

void CopyOutputs(const Graph& from, const std::vector<NodeId>& moved,
                 Graph& to) {
  to.outputs = from.outputs;
  for (Output& output : to.outputs) output.node = moved[output.node];
}

}  // namespace actserve
