#include "kernels/graph/passes/lower.h"

#include <algorithm>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/activation/activation_state.h"
#include "kernels/base/status_macros.h"
#include "kernels/graph/copy.h"
#include "kernels/graph/derive/differentiate.h"
#include "kernels/graph/derive/pull_back.h"
#include "kernels/graph/derive/push_forward.h"
#include "kernels/graph/passes/broadcasts.h"
#include "kernels/graph/passes/declared.h"
#include "kernels/graph/passes/exact_zeros.h"
#include "kernels/graph/passes/simplify.h"
#include "kernels/graph/print.h"

namespace actserve {
namespace {

// Where in `names` `name` is, or -1.
int IndexOf(const std::vector<std::string>& names, std::string_view name) {
  const auto it = std::find(names.begin(), names.end(), name);
  return it == names.end() ? -1 : static_cast<int>(it - names.begin());
}

// Of a cotangent's or tangent's name. No text can contain such a name.
constexpr char kCompanionPrefix[] = "d ";

}  // namespace

NodeId Activation::State::CopyOutput(const Graph& from, std::string_view name,
                                     Graph& graph) {
  const auto add = [&graph](Op op, NodeId a, NodeId b, NodeId c) {
    return AddSimplified(graph, op, a, b, c);
  };
  const std::vector<NodeId> moved = CopyNodes(from, graph, add);
  for (const Output& output : from.outputs) {
    if (output.name == name) return moved[output.node];
  }
  return kNoNode;
}

bool Activation::State::IsDeclared(std::string_view name) const {
  if (!gradient) return false;
  return std::any_of(gradient->outputs.begin(), gradient->outputs.end(),
                     [&](const Output& output) { return output.name == name; });
}

absl::Status Activation::State::CheckDeclared(std::string_view name,
                                              std::string_view what) const {
  if (!gradient || IsDeclared(name)) return absl::OkStatus();
  const std::string gradient_name = absl::StrCat(this->name, "_grad");
  std::vector<std::string> results;
  for (const std::string& input : source.inputs) {
    results.push_back(absl::StrCat("d_", input));
  }
  std::string parameters;
  for (const Parameter& parameter : source.parameters) {
    results.push_back(absl::StrCat("d_", parameter.name));
    absl::StrAppend(&parameters, parameters.empty() ? "" : ", ",
                    parameter.name);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      std::string(what), " '", std::string(name), "': the gradient that ",
      this->name, " declares covers ", absl::StrJoin(source.inputs, ", "),
      " only; to declare that of ", parameters, " too, let ", gradient_name,
      " return ", results.size(), " values: ", absl::StrJoin(results, ", "),
      ", each times dy"));
}

NodeId Activation::State::Derivative(Graph& graph,
                                     std::string_view name) const {
  if (IsDeclared(name) && unit_gradient) {
    return CopyOutput(*unit_gradient, name, graph);
  }
  const NodeId derivative =
      Differentiate(graph, source.outputs[0].node, Variable(graph, name));
  return derivative == kNoNode ? graph.Constant(0) : derivative;
}

NodeId Activation::State::Variable(Graph& graph, std::string_view name) const {
  if (IsInput(name)) return graph.Input(IndexOf(source.inputs, name));
  for (size_t i = 0; i < source.parameters.size(); ++i) {
    if (source.parameters[i].name == name) {
      return graph.ParameterNode(static_cast<int32_t>(i));
    }
  }
  return kNoNode;
}

std::vector<NodeId> Activation::State::Gradients(
    Graph& graph, const std::vector<std::string>& wrt, NodeId upstream) const {
  std::vector<NodeId> gradients;
  std::vector<NodeId> variables;
  for (const std::string& name : wrt) {
    if (IsDeclared(name)) {
      gradients.push_back(CopyOutput(*gradient, name, graph));
    } else if (source.HasRows()) {
      variables.push_back(Variable(graph, name));
    } else {
      gradients.push_back(
          ExactZeros(graph).Times(Derivative(graph, name), upstream));
    }
  }
  // Either all are declared or none.
  if (variables.empty()) return gradients;
  gradients = PullBack(graph, source.outputs[0].node, upstream, variables);
  for (NodeId& gradient : gradients) {
    if (gradient == kNoNode) gradient = graph.Constant(0);
  }
  return gradients;
}

absl::Status Activation::State::CheckNames(
    const std::vector<std::string>& names, std::string_view what,
    bool parameters) const {
  std::vector<std::string> known = source.inputs;
  if (parameters) {
    for (const Parameter& parameter : source.parameters) {
      known.push_back(parameter.name);
    }
  }
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (IndexOf(known, name) < 0) {
      return InvalidArgument(std::string(what), " '", name, "': ", this->name,
                             " has only ", absl::StrJoin(known, ", "));
    }
    if (!seen.insert(name).second) {
      return InvalidArgument(std::string(what), " '", name, "' is given twice");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Activation>> Activation::WithBroadcasts(
    const std::vector<std::string>& names) const {
  ACTSERVE_RETURN_IF_ERROR(
      state_->CheckNames(names, "broadcast", /*parameters=*/true));
  auto state = std::make_unique<State>(*state_);
  state->broadcasts.insert(names.begin(), names.end());
  std::vector<int> parameters;
  for (size_t i = 0; i < state->source.parameters.size(); ++i) {
    const std::string& parameter = state->source.parameters[i].name;
    if (!state->broadcasts.contains(parameter)) continue;
    if (IsSeed(i)) {
      return InvalidArgument("broadcast '", parameter,
                             "': a seed is one number");
    }
    parameters.push_back(static_cast<int>(i));
  }
  if (state->broadcasts.size() - parameters.size() ==
      state->source.inputs.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("broadcast: all inputs of ", name(),
                     ", but one must have the shape of the result"));
  }
  const int num_inputs = static_cast<int>(state->source.inputs.size());
  const auto convert = [&](Graph& graph) {
    graph = WithParametersAsInputs(graph, parameters, num_inputs);
  };
  convert(state->source);
  convert(state->forward);
  if (state->gradient) convert(*state->gradient);
  if (state->unit_gradient) convert(*state->unit_gradient);
  return std::shared_ptr<const Activation>(new Activation(std::move(state)));
}

absl::StatusOr<LoweredProgram> Activation::State::LowerGraph(
    const Graph& graph, DType dtype, LoweredProgram::Rule rule_16_bit,
    Outputs outputs, std::string_view what) const {
  std::string identity = absl::StrCat(id, "\n", std::string(what));
  if (broadcasts.empty()) {
    return Lower(graph, dtype, rule_16_bit, identity, limits);
  }
  absl::StrAppend(&identity, "\nbroadcast ", absl::StrJoin(broadcasts, " "));
  ACTSERVE_ASSIGN_OR_RETURN(
      LoweredProgram program,
      Lower(graph, dtype, LoweredProgram::Rule::kDirect, identity, limits));
  std::set<std::string> inputs = broadcasts;
  for (const std::string& name : broadcasts) {
    inputs.insert(absl::StrCat(kCompanionPrefix, name));
  }
  PutBroadcastsLast(
      [&](const std::string& input) { return inputs.contains(input); },
      outputs == Outputs::kGradients, program);
  return program;
}

absl::StatusOr<LoweredProgram> Activation::LowerForward(
    DType dtype, const std::vector<std::string>& partials) const {
  ACTSERVE_RETURN_IF_ERROR(
      state_->CheckNames(partials, "partial", /*parameters=*/false));
  if (!partials.empty() && reads_rows()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "an element of the result of ", name(),
        " depends on its whole row, so there are no partials: use Backward"));
  }
  if (!partials.empty() && state_->gradient && !state_->unit_gradient) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the gradient that ", name(),
        " declares is not linear in the upstream gradient, so there are no "
        "partials: use Backward"));
  }
  for (const std::string& partial : partials) {
    if (!state_->broadcasts.contains(partial)) continue;
    return InvalidArgument("partial '", partial,
                           "': its tensor broadcasts, so a partial is not of "
                           "its shape: use Backward");
  }
  Graph graph = state_->source;
  for (const std::string& partial : partials) {
    graph.outputs.push_back({partial, state_->Derivative(graph, partial)});
  }
  const auto rule = inputs().size() == 1 && !graph.HasRows() && !draws()
                        ? LoweredProgram::Rule::kRoundOnce16
                        : LoweredProgram::Rule::kDirect;
  return state_->LowerGraph(
      graph, dtype, rule, State::Outputs::kResults,
      absl::StrCat("forward ", absl::StrJoin(partials, " ")));
}

absl::Status Activation::State::CheckVariables(
    const std::vector<std::string>& names, std::string_view what) const {
  if (names.empty()) {
    return InvalidArgument(std::string(what),
                           " names no input and no parameter");
  }
  return CheckNames(names, what, /*parameters=*/true);
}

absl::Status Activation::State::CheckWithGradient(
    const std::vector<std::string>& names, std::string_view what) const {
  ACTSERVE_RETURN_IF_ERROR(CheckVariables(names, what));
  for (const std::string& name : names) {
    ACTSERVE_RETURN_IF_ERROR(CheckDeclared(name, what));
  }
  return absl::OkStatus();
}

// Adds an input for each input in `names` and a parameter for each parameter,
// and returns their nodes in the order of `names`.
std::vector<NodeId> Activation::State::AddCompanions(
    Graph& graph, const std::vector<std::string>& names) const {
  std::vector<NodeId> nodes;
  for (const std::string& name : names) {
    const std::string companion = absl::StrCat(kCompanionPrefix, name);
    if (IsInput(name)) {
      graph.inputs.push_back(companion);
      nodes.push_back(
          graph.Input(static_cast<int32_t>(graph.inputs.size()) - 1));
    } else {
      graph.parameters.push_back({companion, 0});
      nodes.push_back(graph.ParameterNode(
          static_cast<int32_t>(graph.parameters.size()) - 1));
    }
  }
  return nodes;
}

absl::StatusOr<LoweredProgram> Activation::LowerSecondOrder(
    DType dtype, const std::vector<std::string>& of,
    const std::vector<std::string>& wrt, bool wrt_upstream) const {
  ACTSERVE_RETURN_IF_ERROR(state_->CheckWithGradient(of, "cotangents"));
  if (!wrt.empty() || !wrt_upstream) {
    ACTSERVE_RETURN_IF_ERROR(state_->CheckVariables(wrt, "wrt"));
  }
  Graph graph = state_->source;
  graph.outputs.clear();
  graph.inputs.push_back(kUpstreamName);
  const NodeId upstream =
      graph.Input(static_cast<int32_t>(graph.inputs.size()) - 1);
  const std::vector<NodeId> cotangents = state_->AddCompanions(graph, of);
  const std::vector<NodeId> gradients = state_->Gradients(graph, of, upstream);
  std::vector<NodeId> variables;
  for (const std::string& name : wrt) {
    variables.push_back(state_->Variable(graph, name));
  }
  if (wrt_upstream) variables.push_back(upstream);
  std::vector<NodeId> sums(variables.size(), kNoNode);
  for (size_t i = 0; i < of.size(); ++i) {
    const std::vector<NodeId> terms =
        PullBack(graph, gradients[i], cotangents[i], variables);
    for (size_t v = 0; v < terms.size(); ++v) {
      if (terms[v] == kNoNode) continue;
      sums[v] = sums[v] == kNoNode
                    ? terms[v]
                    : AddSimplified(graph, Op::kAdd, sums[v], terms[v]);
    }
  }
  for (size_t v = 0; v < sums.size(); ++v) {
    const bool is_upstream = v == wrt.size();
    graph.outputs.push_back({is_upstream ? kUpstreamName : wrt[v],
                             sums[v] == kNoNode ? graph.Constant(0) : sums[v],
                             !is_upstream && !state_->IsInput(wrt[v])});
  }
  return state_->LowerGraph(
      graph, dtype, LoweredProgram::Rule::kDirect, State::Outputs::kGradients,
      absl::StrCat("second order of ", absl::StrJoin(of, " "), "\nwrt ",
                   absl::StrJoin(wrt, " "),
                   wrt_upstream ? "\nand upstream" : ""));
}

absl::StatusOr<LoweredProgram> Activation::LowerTangent(
    DType dtype, const std::vector<std::string>& along) const {
  ACTSERVE_RETURN_IF_ERROR(state_->CheckWithGradient(along, "tangents"));
  if (state_->gradient && !state_->unit_gradient) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the gradient that ", name(),
        " declares is not linear in the upstream gradient, or reads rows, so "
        "there is no tangent"));
  }
  Graph graph = state_->source;
  const std::vector<NodeId> tangents = state_->AddCompanions(graph, along);
  NodeId sum = kNoNode;
  if (state_->unit_gradient) {
    for (size_t i = 0; i < along.size(); ++i) {
      const NodeId term = ExactZeros(graph).Times(
          state_->Derivative(graph, along[i]), tangents[i]);
      sum = i == 0 ? term : AddSimplified(graph, Op::kAdd, sum, term);
    }
  } else {
    std::vector<Direction> directions;
    for (size_t i = 0; i < along.size(); ++i) {
      directions.push_back({state_->Variable(graph, along[i]), tangents[i]});
    }
    sum = PushForward(graph, state_->source.outputs[0].node, directions);
  }
  graph.outputs.push_back(
      {"tangent", sum == kNoNode ? graph.Constant(0) : sum});
  return state_->LowerGraph(
      graph, dtype, LoweredProgram::Rule::kDirect, State::Outputs::kResults,
      absl::StrCat("tangent ", absl::StrJoin(along, " ")));
}

absl::StatusOr<LoweredProgram> Activation::LowerBackward(
    DType dtype, const std::vector<std::string>& wrt) const {
  ACTSERVE_RETURN_IF_ERROR(state_->CheckWithGradient(wrt, "wrt"));
  const std::string what = absl::StrCat("backward ", absl::StrJoin(wrt, " "));
  Graph graph = state_->source;
  graph.outputs.clear();
  const bool has_unit = !state_->gradient || state_->unit_gradient;
  if (Is16Bit(dtype) && inputs().size() == 1 && wrt == inputs() && has_unit &&
      !reads_rows() && !draws()) {
    graph.outputs.push_back({wrt[0], state_->Derivative(graph, wrt[0])});
    return state_->LowerGraph(graph, dtype, LoweredProgram::Rule::kDerivative16,
                              State::Outputs::kGradients, what);
  }
  const int32_t upstream = static_cast<int32_t>(inputs().size());
  graph.inputs.push_back(kUpstreamName);
  const std::vector<NodeId> gradients =
      state_->Gradients(graph, wrt, graph.Input(upstream));
  for (size_t i = 0; i < wrt.size(); ++i) {
    graph.outputs.push_back({wrt[i], gradients[i], !state_->IsInput(wrt[i])});
  }
  return state_->LowerGraph(graph, dtype, LoweredProgram::Rule::kDirect,
                            State::Outputs::kGradients, what);
}

absl::StatusOr<std::string> Activation::GradientText(std::string_view wrt,
                                                     size_t max_bytes) const {
  const std::string name(wrt);
  ACTSERVE_RETURN_IF_ERROR(
      state_->CheckNames({name}, "wrt", /*parameters=*/true));
  ACTSERVE_RETURN_IF_ERROR(state_->CheckDeclared(name, "wrt"));
  Graph graph = state_->source;
  graph.outputs.clear();
  if (state_->IsDeclared(name)) {
    graph.outputs.push_back(
        {name,
         State::CopyOutput(WithUnitUpstream(*state_->gradient), name, graph)});
  } else {
    graph.outputs.push_back(
        {name, state_->Gradients(graph, {name}, graph.Constant(1))[0]});
  }
  return PrintGraph(Simplify(WithoutDeclared(graph)),
                    absl::StrCat("d_", this->name(), "_d_", name), max_bytes);
}

}  // namespace actserve
