#include "kernels/graph/passes/broadcasts.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "kernels/graph/copy.h"

namespace actserve {
namespace {

// A copy of `graph` with the inputs of `signature`, in which leaves are what
// `leaf` says.
Graph Rewire(const Graph& graph, Graph signature,
             absl::FunctionRef<NodeId(Graph&, const Node&)> leaf) {
  const auto add = [&](Op op, NodeId a, NodeId b, NodeId c) {
    return signature.Add(op, a, b, c);
  };
  const auto leaf_of = [&](const Node& node) { return leaf(signature, node); };
  const std::vector<NodeId> moved = CopyNodes(graph, signature, leaf_of, add);
  CopyOutputs(graph, moved, signature);
  return signature;
}

}  // namespace

Graph WithParametersAsInputs(const Graph& graph,
                             absl::Span<const int> parameters, int num_before) {
  Graph signature = WithSignatureOf(graph);
  std::vector<std::string> names;
  for (const int parameter : parameters) {
    names.push_back(graph.parameters[parameter].name);
  }
  signature.inputs.insert(signature.inputs.begin() + num_before, names.begin(),
                          names.end());
  const int num_added = static_cast<int>(parameters.size());
  return Rewire(graph, std::move(signature), [&](Graph& to, const Node& node) {
    if (node.op == Op::kInput) {
      return to.Input(node.index < num_before ? node.index
                                              : node.index + num_added);
    }
    const auto* found =
        std::find(parameters.begin(), parameters.end(), node.index);
    if (found == parameters.end()) {
      return to.ParameterNode(node.index);
    }
    return to.Input(
        static_cast<int32_t>(num_before + (found - parameters.begin())));
  });
}

void PutBroadcastsLast(
    absl::FunctionRef<bool(const std::string& input)> broadcasts,
    bool are_gradients, LoweredProgram& program) {
  const Graph& graph = program.graph;
  std::vector<std::string> whole;
  std::vector<std::string> last;
  for (const std::string& input : graph.inputs) {
    (broadcasts(input) ? last : whole).push_back(input);
  }
  Graph signature = WithSignatureOf(graph);
  signature.inputs = whole;
  signature.inputs.insert(signature.inputs.end(), last.begin(), last.end());
  std::vector<int32_t> place;
  int32_t num_whole = 0;
  auto num_last = static_cast<int32_t>(whole.size());
  for (const std::string& input : graph.inputs) {
    place.push_back(broadcasts(input) ? num_last++ : num_whole++);
  }
  program.graph =
      Rewire(graph, std::move(signature), [&](Graph& to, const Node& node) {
        return node.op == Op::kInput ? to.Input(place[node.index])
                                     : to.ParameterNode(node.index);
      });
  program.num_broadcasts = static_cast<int>(last.size());
  if (!are_gradients) return;
  for (Output& output : program.graph.outputs) {
    const auto found = std::find(last.begin(), last.end(), output.name);
    if (found == last.end()) continue;
    output.summed = true;
    output.like = static_cast<int32_t>(found - last.begin());
  }
}

LoweredProgram WithBroadcastsAsParameters(const LoweredProgram& program) {
  const Graph& graph = program.graph;
  const auto num_whole =
      static_cast<int32_t>(graph.inputs.size()) - program.num_broadcasts;
  const auto num_parameters = static_cast<int32_t>(graph.parameters.size());
  Graph signature = WithSignatureOf(graph);
  for (size_t i = num_whole; i < graph.inputs.size(); ++i) {
    signature.parameters.push_back({graph.inputs[i], 0});
  }
  signature.inputs.resize(num_whole);
  LoweredProgram result = program;
  result.num_broadcasts = 0;
  result.graph =
      Rewire(graph, std::move(signature), [&](Graph& to, const Node& node) {
        if (node.op == Op::kParameter) return to.ParameterNode(node.index);
        return node.index < num_whole
                   ? to.Input(node.index)
                   : to.ParameterNode(num_parameters + node.index - num_whole);
      });
  return result;
}

}  // namespace actserve
