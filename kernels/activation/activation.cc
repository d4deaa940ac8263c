#include "kernels/activation/activation.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/activation/activation_state.h"
#include "kernels/activation/gradient_check.h"
#include "kernels/graph/build/build.h"
#include "kernels/graph/build/stabilize.h"
#include "kernels/graph/draws.h"
#include "kernels/graph/passes/declared.h"
#include "kernels/graph/passes/simplify.h"
#include "kernels/graph/print.h"
#include "kernels/lang/canonical.h"
#include "kernels/lang/parser.h"

namespace actserve {

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
  return state_->CheckDeclared(name, "wrt").ok();
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
      // The function may itself be a gradient, which has a dy.
      std::string upstream = "dy";
      const std::vector<std::string>& inputs = activation.inputs();
      while (std::count(inputs.begin(), inputs.end(), upstream) > 0) {
        upstream = absl::StrCat("d", upstream);
      }
      diagnostics.Warning(
          position,
          absl::StrCat("the gradient with respect to '", input,
                       "' is 0 everywhere; to train through it, declare "
                       "another: def ",
                       activation.name(), "_grad(",
                       absl::StrJoin(activation.inputs(), ", "), ", ", upstream,
                       ")"));
    }
  }
}

bool HoldsDeclared(const Graph& graph) {
  return std::any_of(graph.nodes().begin(), graph.nodes().end(),
                     [](const Node& node) { return node.op == Op::kDeclared; });
}

// Says where a gradient that somebody declared is not that of the function: on
// purpose, as of a straight-through estimator, or by mistake.
void NoteDifferences(const Activation& activation, Position position,
                     Diagnostics& diagnostics) {
  for (const auto& variable : CheckGradient(activation).variables) {
    const std::string where = TellDifference(variable, activation.inputs());
    if (where.empty()) continue;
    diagnostics.Note(
        position, absl::StrCat("the gradient with respect to '", variable.name,
                               "' is declared and is not the derivative of ",
                               activation.name(), ": ", where));
  }
}

void NoteNotLinear(const std::string& name, Position position,
                   Diagnostics& diagnostics) {
  diagnostics.Note(
      position,
      absl::StrCat("the gradient that ", name,
                   " declares is not linear in the upstream gradient, or reads "
                   "rows: Backward uses it; partials, tangents and other "
                   "activations cannot"));
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
  // Of the declared gradient in the text, or else of the activation.
  Position GradientPosition() const {
    const FunctionDef* gradient = module.Gradient();
    return (gradient != nullptr ? *gradient : main()).position;
  }
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
  gradient = Prepare(*built.gradient, exact, nullptr);
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
  CheckGradients(*activation, position, diagnostics);
  if (diagnostics.has_errors()) return nullptr;
  const State& made = *activation->state_;
  if (made.gradient || HoldsDeclared(made.source)) {
    NoteDifferences(*activation, texts->GradientPosition(), diagnostics);
  }
  if (made.gradient && !made.unit_gradient) {
    NoteNotLinear(made.name, texts->GradientPosition(), diagnostics);
  }
  return activation;
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
