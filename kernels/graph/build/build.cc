#include "kernels/graph/build/build.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/graph/build/builder.h"
#include "kernels/graph/copy.h"
#include "kernels/graph/passes/exact_zeros.h"

namespace actserve {
namespace {

// The gradient's arguments: the inputs, dy, and parameters by their names.
// The arguments' nodes in `graph`, or nothing after an error.
std::optional<std::vector<NodeId>> GradientArguments(
    const FunctionDef& gradient, const Graph& forward, Graph& graph,
    Diagnostics& diagnostics) {
  const size_t num_inputs = forward.inputs.size();
  std::vector<NodeId> arguments;
  for (size_t i = 0; i < gradient.arguments.size(); ++i) {
    const Argument& argument = gradient.arguments[i];
    if (i <= num_inputs) {
      arguments.push_back(graph.Input(static_cast<int32_t>(i)));
      continue;
    }
    const size_t count = arguments.size();
    for (size_t j = 0; j < forward.parameters.size(); ++j) {
      if (forward.parameters[j].name == argument.name) {
        arguments.push_back(graph.ParameterNode(static_cast<int32_t>(j)));
      }
    }
    if (arguments.size() == count) {
      diagnostics.Error(argument.position,
                        absl::StrCat("'", argument.name,
                                     "' is not a parameter of the activation"));
    }
  }
  if (gradient.arguments.size() <= num_inputs) {
    diagnostics.Error(
        gradient.position,
        absl::StrCat("'", gradient.name, "' takes the ", num_inputs,
                     " inputs and then the upstream gradient, not ",
                     gradient.arguments.size(), " arguments"));
  }
  if (diagnostics.has_errors()) return std::nullopt;
  return arguments;
}

std::optional<Graph> BuildDeclaredGradient(const Module& module,
                                           const FunctionDef& function,
                                           const Graph& forward,
                                           const LanguageLimits& limits,
                                           Diagnostics& diagnostics) {
  Graph graph = WithSignatureOf(forward);
  graph.inputs.push_back(kUpstreamName);
  const auto arguments =
      GradientArguments(function, forward, graph, diagnostics);
  if (!arguments) return std::nullopt;
  GraphBuilder builder(graph, limits, diagnostics);
  const std::vector<NodeId> values =
      builder.Run(module, function, *arguments, function.num_results);
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] != kNoNode && graph.is_bool(values[i])) {
      builder.Error(function.position,
                    absl::StrCat("'", function.name,
                                 "' returns a truth value, not a number"));
    }
    const size_t num_inputs = forward.inputs.size();
    graph.outputs.push_back({i < num_inputs
                                 ? forward.inputs[i]
                                 : forward.parameters[i - num_inputs].name,
                             values[i]});
  }
  if (diagnostics.has_errors()) return std::nullopt;
  return graph;
}

std::optional<Graph> BuildForward(const Module& module,
                                  const LanguageLimits& limits,
                                  Diagnostics& diagnostics) {
  const FunctionDef& function = module.functions[module.main];
  Graph graph;
  std::vector<NodeId> arguments;
  for (const Argument& argument : function.arguments) {
    if (argument.default_value) {
      graph.parameters.push_back({argument.name, *argument.default_value});
      arguments.push_back(graph.ParameterNode(
          static_cast<int32_t>(graph.parameters.size()) - 1));
    } else {
      graph.inputs.push_back(argument.name);
      arguments.push_back(
          graph.Input(static_cast<int32_t>(graph.inputs.size()) - 1));
    }
  }
  GraphBuilder builder(graph, limits, diagnostics);
  const NodeId value = builder.Run(module, function, arguments, 1)[0];
  if (value != kNoNode && graph.is_bool(value)) {
    builder.Error(function.position,
                  absl::StrCat("'", function.name,
                               "' returns a truth value, not a number; write "
                               "(1.0 if ... else 0.0)"));
  }
  if (diagnostics.has_errors()) return std::nullopt;
  graph.outputs.push_back({"y", value});
  return graph;
}

}  // namespace

std::optional<BuiltActivation> Build(const Module& module,
                                     const LanguageLimits& limits,
                                     Diagnostics& diagnostics) {
  auto forward = BuildForward(module, limits, diagnostics);
  if (!forward) return std::nullopt;
  BuiltActivation built{*std::move(forward), std::nullopt};
  if (const FunctionDef* gradient = module.Gradient()) {
    built.gradient = BuildDeclaredGradient(module, *gradient, built.forward,
                                           limits, diagnostics);
    if (!built.gradient) return std::nullopt;
  }
  return built;
}

std::optional<Graph> BuildDerivative(const Module& derivative,
                                     const Graph& forward,
                                     const LanguageLimits& limits,
                                     Diagnostics& diagnostics) {
  const FunctionDef& function = derivative.functions[derivative.main];
  if (forward.inputs.size() != 1) {
    diagnostics.Error(
        function.position,
        absl::StrCat("a derivative needs an activation of one "
                     "input; this one has ",
                     forward.inputs.size(), ": declare its gradient instead"));
    return std::nullopt;
  }
  auto built = BuildForward(derivative, limits, diagnostics);
  if (!built) return std::nullopt;
  if (built->inputs.size() != 1) {
    diagnostics.Error(function.position,
                      absl::StrCat("a derivative takes one input, not ",
                                   built->inputs.size()));
  }
  std::vector<int32_t> indices;
  for (const Parameter& parameter : built->parameters) {
    for (size_t j = 0; j < forward.parameters.size(); ++j) {
      if (forward.parameters[j].name == parameter.name) {
        indices.push_back(static_cast<int32_t>(j));
      }
    }
    if (&parameter - built->parameters.data() + 1 !=
        static_cast<ptrdiff_t>(indices.size())) {
      diagnostics.Error(function.position,
                        absl::StrCat("'", parameter.name,
                                     "' is not a parameter of the activation"));
      break;
    }
  }
  if (diagnostics.has_errors()) return std::nullopt;
  Graph graph = WithSignatureOf(forward);
  graph.inputs.push_back(kUpstreamName);
  const std::vector<NodeId> moved = CopyNodes(
      *built, graph,
      [&](const Node& node) {
        return node.op == Op::kInput ? graph.Input(0)
                                     : graph.ParameterNode(indices[node.index]);
      },
      [&](Op op, NodeId a, NodeId b, NodeId c) {
        return graph.Add(op, a, b, c);
      });
  graph.outputs = {
      {forward.inputs[0],
       ExactZeros(graph).Times(moved[built->outputs[0].node], graph.Input(1))}};
  return graph;
}

}  // namespace actserve
