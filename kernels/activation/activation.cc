#include "kernels/activation/activation.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/base/status_macros.h"
#include "kernels/graph/build/build.h"
#include "kernels/graph/build/stabilize.h"
#include "kernels/graph/copy.h"
#include "kernels/graph/derive/differentiate.h"
#include "kernels/graph/derive/pull_back.h"
#include "kernels/graph/derive/push_forward.h"
#include "kernels/graph/draws.h"
#include "kernels/graph/passes/declared.h"
#include "kernels/graph/passes/exact_zeros.h"
#include "kernels/graph/passes/lower.h"
#include "kernels/graph/passes/simplify.h"
#include "kernels/graph/print.h"
#include "kernels/lang/canonical.h"
#include "kernels/lang/parser.h"

namespace actserve {
namespace {

// Where in `names` `name` is, or -1.
int IndexOf(const std::vector<std::string>& names, std::string_view name) {
  const auto it = std::find(names.begin(), names.end(), name);
  return it == names.end() ? -1 : static_cast<int>(it - names.begin());
}

}  // namespace

struct Activation::State {
  std::string id;
  std::string name;
  std::string doc;
  std::string text;
  bool exact = false;
  LanguageLimits limits;
  std::vector<std::string> rewrites;
  // The graph after building and stabilizing; may hold kDeclared, which
  // differentiation reads.
  Graph source;
  // `source` without kDeclared: what is computed.
  Graph forward;
  // The gradient that the author declared; its inputs are the activation's and
  // then the upstream gradient.
  std::optional<Graph> gradient;
  // `gradient` for the upstream gradient 1; absent if it is not linear.
  std::optional<Graph> unit_gradient;
  // Of both; the parameters that are seeds.
  bool draws = false;
  std::set<int32_t> seeds;

  // nullptr after an error.
  static std::shared_ptr<const Activation> Create(std::string_view text,
                                                  const Options& options,
                                                  Diagnostics& diagnostics);
  void SetGraphs(const BuiltActivation& built);

  // Adds d(y)/d(name) to `graph`, which began as a copy of `source` and reads
  // no rows.
  NodeId Derivative(Graph& graph, std::string_view name) const;
  // Adds the products of `upstream` and the derivatives of y by `wrt`.
  std::vector<NodeId> Gradients(Graph& graph,
                                const std::vector<std::string>& wrt,
                                NodeId upstream) const;
  // The leaf of `graph` for an input or a parameter.
  NodeId Variable(Graph& graph, std::string_view name) const;
  bool IsDeclared(std::string_view name) const;
  // Where a gradient is declared, it is the only one: what it does not cover
  // has none.
  absl::Status CheckDeclared(std::string_view name) const;
  absl::Status CheckNames(const std::vector<std::string>& names,
                          std::string_view what, bool parameters) const;
  // At least one name, all known; of CheckWithGradient() all with a gradient.
  absl::Status CheckVariables(const std::vector<std::string>& names,
                              std::string_view what) const;
  absl::Status CheckWithGradient(const std::vector<std::string>& names,
                                 std::string_view what) const;
  std::vector<NodeId> AddCompanions(
      Graph& graph, const std::vector<std::string>& names) const;
  bool IsInput(std::string_view name) const {
    return IndexOf(source.inputs, name) >= 0;
  }
  // A copy of the output `name` of `from`, whose inputs begin like those of
  // `graph`, in `graph`.
  static NodeId CopyOutput(const Graph& from, std::string_view name,
                           Graph& graph);
};

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

absl::Status Activation::State::CheckDeclared(std::string_view name) const {
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
      "wrt '", std::string(name), "': the gradient that ", this->name,
      " declares covers ", absl::StrJoin(source.inputs, ", "),
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

Activation::Activation(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
Activation::~Activation() = default;

const std::string& Activation::id() const { return state_->id; }
const std::string& Activation::name() const { return state_->name; }
const std::string& Activation::doc() const { return state_->doc; }
const std::string& Activation::text() const { return state_->text; }
bool Activation::exact() const { return state_->exact; }
const std::vector<std::string>& Activation::inputs() const {
  return state_->source.inputs;
}
const std::vector<Parameter>& Activation::parameters() const {
  return state_->source.parameters;
}
const Graph& Activation::forward() const { return state_->forward; }
bool Activation::has_declared_gradient() const {
  return state_->gradient.has_value();
}
bool Activation::reads_rows() const {
  return state_->forward.HasRows() ||
         (state_->gradient && state_->gradient->HasRows());
}
bool Activation::draws() const { return state_->draws; }
bool Activation::IsSeed(size_t parameter) const {
  return state_->seeds.contains(static_cast<int32_t>(parameter));
}
bool Activation::IsSeedValue(double value) {
  return IsDrawOperand(value, kMaxSeed);
}
bool Activation::HasGradient(std::string_view name) const {
  return state_->CheckDeclared(name).ok();
}
const std::vector<std::string>& Activation::rewrites() const {
  return state_->rewrites;
}
std::string Activation::CanonicalText(size_t max_bytes) const {
  return PrintGraph(state_->forward, state_->name, max_bytes);
}

int64_t Activation::size_bytes() const {
  const State& s = *state_;
  int64_t bytes = sizeof(State) + s.id.capacity() + s.name.capacity() +
                  s.doc.capacity() + s.text.capacity();
  for (const std::string& rewrite : s.rewrites) {
    bytes += sizeof(std::string) + rewrite.capacity();
  }
  bytes += s.source.size_bytes() + s.forward.size_bytes();
  if (s.gradient) bytes += s.gradient->size_bytes();
  if (s.unit_gradient) bytes += s.unit_gradient->size_bytes();
  return bytes;
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
  Graph graph = state_->source;
  for (const std::string& partial : partials) {
    graph.outputs.push_back({partial, state_->Derivative(graph, partial)});
  }
  const auto rule = inputs().size() == 1 && !graph.HasRows() && !draws()
                        ? LoweredProgram::Rule::kRoundOnce16
                        : LoweredProgram::Rule::kDirect;
  return Lower(graph, dtype, rule,
               absl::StrCat(id(), "\nforward ", absl::StrJoin(partials, " ")),
               state_->limits);
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
    ACTSERVE_RETURN_IF_ERROR(CheckDeclared(name));
  }
  return absl::OkStatus();
}

// Adds an input for each input in `names` and a parameter for each parameter,
// and returns their nodes in the order of `names`.
std::vector<NodeId> Activation::State::AddCompanions(
    Graph& graph, const std::vector<std::string>& names) const {
  std::vector<NodeId> nodes;
  for (const std::string& name : names) {
    const std::string companion = absl::StrCat("d_", name);
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
  ACTSERVE_RETURN_IF_ERROR(state_->CheckWithGradient(of, "of"));
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
  return Lower(graph, dtype, LoweredProgram::Rule::kDirect,
               absl::StrCat(id(), "\nsecond order of ", absl::StrJoin(of, " "),
                            "\nwrt ", absl::StrJoin(wrt, " "),
                            wrt_upstream ? "\nand upstream" : ""),
               state_->limits);
}

absl::StatusOr<LoweredProgram> Activation::LowerTangent(
    DType dtype, const std::vector<std::string>& along) const {
  ACTSERVE_RETURN_IF_ERROR(state_->CheckWithGradient(along, "along"));
  if (state_->gradient && !state_->unit_gradient) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the gradient that ", name(),
        " declares is not linear in the upstream gradient, or reads rows, so "
        "there is no tangent"));
  }
  Graph graph = state_->source;
  graph.outputs.clear();
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
  graph.outputs.push_back({"y", sum == kNoNode ? graph.Constant(0) : sum});
  return Lower(graph, dtype, LoweredProgram::Rule::kDirect,
               absl::StrCat(id(), "\ntangent ", absl::StrJoin(along, " ")),
               state_->limits);
}

absl::StatusOr<LoweredProgram> Activation::LowerBackward(
    DType dtype, const std::vector<std::string>& wrt) const {
  ACTSERVE_RETURN_IF_ERROR(state_->CheckWithGradient(wrt, "wrt"));
  const std::string identity =
      absl::StrCat(id(), "\nbackward ", absl::StrJoin(wrt, " "));
  Graph graph = state_->source;
  graph.outputs.clear();
  const bool has_unit = !state_->gradient || state_->unit_gradient;
  if (Is16Bit(dtype) && inputs().size() == 1 && wrt == inputs() && has_unit &&
      !reads_rows() && !draws()) {
    graph.outputs.push_back({wrt[0], state_->Derivative(graph, wrt[0])});
    return Lower(graph, dtype, LoweredProgram::Rule::kDerivative16, identity,
                 state_->limits);
  }
  const int32_t upstream = static_cast<int32_t>(inputs().size());
  graph.inputs.push_back(kUpstreamName);
  const std::vector<NodeId> gradients =
      state_->Gradients(graph, wrt, graph.Input(upstream));
  for (size_t i = 0; i < wrt.size(); ++i) {
    graph.outputs.push_back({wrt[i], gradients[i], !state_->IsInput(wrt[i])});
  }
  return Lower(graph, dtype, LoweredProgram::Rule::kDirect, identity,
               state_->limits);
}

absl::StatusOr<std::string> Activation::GradientText(std::string_view wrt,
                                                     size_t max_bytes) const {
  const std::string name(wrt);
  ACTSERVE_RETURN_IF_ERROR(
      state_->CheckNames({name}, "wrt", /*parameters=*/true));
  ACTSERVE_RETURN_IF_ERROR(state_->CheckDeclared(name));
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

namespace {

// `graph` as every later pass wants it.
Graph Prepare(const Graph& graph, bool exact,
              std::vector<std::string>* rewrites) {
  Graph prepared = Simplify(graph);
  return exact ? prepared : Simplify(Stabilize(prepared, rewrites));
}

// Warns where a gradient is 0 whatever the input: rounding and steps.
void WarnIfFlat(const Activation& activation, Position position,
                Diagnostics& diagnostics) {
  for (const std::string& input : activation.inputs()) {
    const auto gradient = activation.LowerBackward(DType::kFloat64, {input});
    if (!gradient.ok()) continue;
    const Graph& graph = gradient->graph;
    if (graph.is_constant(graph.outputs[0].node, 0)) {
      diagnostics.Warning(
          position,
          absl::StrCat("the gradient with respect to '", input,
                       "' is 0 everywhere; to train through it, declare "
                       "another: def ",
                       activation.name(), "_grad(",
                       absl::StrJoin(activation.inputs(), ", "), ", dy)"));
    }
  }
}

// Checks that every gradient can be compiled, and warns of those that are 0.
void CheckGradients(const Activation& activation, Position position,
                    Diagnostics& diagnostics) {
  std::vector<std::string> variables = activation.inputs();
  for (const Parameter& parameter : activation.parameters()) {
    // A request for what a declared gradient leaves out is refused then.
    if (activation.HasGradient(parameter.name)) {
      variables.push_back(parameter.name);
    }
  }
  for (const std::string& variable : variables) {
    const absl::Status status =
        activation.LowerBackward(DType::kFloat64, {variable}).status();
    if (status.ok()) continue;
    diagnostics.Error(position, absl::StrCat("the gradient with respect to '",
                                             variable, "' cannot be compiled: ",
                                             std::string(status.message())));
    return;
  }
  if (!activation.has_declared_gradient()) {
    WarnIfFlat(activation, position, diagnostics);
  }
}

// The texts of an activation as trees. The text of the derivative has lines of
// its own, so its errors are kept and rendered apart.
struct Texts {
  Module module;
  std::optional<Module> derivative;
  Diagnostics in_derivative;

  const FunctionDef& main() const { return module.functions[module.main]; }
};

void RefuseDerivative(const Texts& texts, Diagnostics& diagnostics) {
  diagnostics.Error(texts.main().position,
                    absl::StrCat("the derivative's text is refused:\n",
                                 texts.in_derivative.Render()));
}

// nullopt after an error.
std::optional<Texts> ParseTexts(std::string_view text,
                                const Activation::Options& options,
                                Diagnostics& diagnostics) {
  auto module = Parse(text, options.constants, options.limits, diagnostics);
  if (!module) return std::nullopt;
  Texts texts{*std::move(module), std::nullopt,
              Diagnostics(options.derivative)};
  if (options.derivative.empty()) return texts;
  texts.derivative = Parse(options.derivative, options.constants,
                           options.limits, texts.in_derivative);
  if (texts.derivative) return texts;
  RefuseDerivative(texts, diagnostics);
  return std::nullopt;
}

// nullopt after an error.
std::optional<BuiltActivation> BuildGraphs(Texts& texts,
                                           const LanguageLimits& limits,
                                           Diagnostics& diagnostics) {
  auto built = Build(texts.module, limits, diagnostics);
  if (!built || !texts.derivative) return built;
  built->gradient = BuildDerivative(*texts.derivative, built->forward, limits,
                                    texts.in_derivative);
  if (built->gradient) return built;
  RefuseDerivative(texts, diagnostics);
  return std::nullopt;
}

std::string Identify(const Texts& texts, bool exact) {
  return ContentId(texts.module,
                   texts.derivative ? &*texts.derivative : nullptr, exact);
}

}  // namespace

void Activation::State::SetGraphs(const BuiltActivation& built) {
  source = Prepare(built.forward, exact, &rewrites);
  forward = Simplify(WithoutDeclared(source));
  const auto note_draws = [this](const Graph& graph) {
    draws = draws || graph.HasDraws();
    for (const int32_t seed : SeedParameters(graph)) seeds.insert(seed);
  };
  note_draws(source);
  if (!built.gradient) return;
  note_draws(*built.gradient);
  gradient = Prepare(WithoutDeclared(*built.gradient), exact, nullptr);
  if (!gradient->HasRows() && IsLinearInUpstream(*gradient)) {
    unit_gradient = WithUnitUpstream(*gradient);
  }
}

std::shared_ptr<const Activation> Activation::State::Create(
    std::string_view text, const Options& options, Diagnostics& diagnostics) {
  std::optional<Texts> texts = ParseTexts(text, options, diagnostics);
  if (!texts) return nullptr;
  auto state = std::make_unique<State>();
  state->id = Identify(*texts, options.exact);
  state->name = texts->main().name;
  state->doc = texts->main().docstring;
  state->text = std::string(text);
  state->exact = options.exact;
  state->limits = options.limits;
  const auto built = BuildGraphs(*texts, options.limits, diagnostics);
  if (!built) return nullptr;
  state->SetGraphs(*built);
  std::shared_ptr<const Activation> activation(
      new Activation(std::move(state)));
  const Position position = texts->main().position;
  if (activation->draws() && activation->reads_rows()) {
    diagnostics.Error(position,
                      "random numbers are not available where rows are read: "
                      "draw in an activation of its own");
    return nullptr;
  }
  CheckGradients(*activation, position, diagnostics);
  return diagnostics.has_errors() ? nullptr : activation;
}

absl::StatusOr<std::shared_ptr<const Activation>> Activation::Create(
    std::string_view text, const Options& options,
    std::vector<Diagnostic>* diagnostics) {
  Diagnostics found(text);
  auto activation = State::Create(text, options, found);
  if (diagnostics != nullptr) *diagnostics = found.list();
  if (activation == nullptr) {
    return absl::InvalidArgumentError(found.Render());
  }
  return activation;
}

}  // namespace actserve
