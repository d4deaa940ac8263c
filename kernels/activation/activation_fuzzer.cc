// A text from anybody: it is refused with a place, or becomes an activation
// whose programs and gradients are there, can be evaluated, and print as texts
// of themselves. No code is generated here; see device/cpu/program_fuzzer.cc.

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/activation/activation.h"
#include "kernels/base/testing/fuzz_target.h"
#include "kernels/graph/interpret.h"

namespace actserve {
namespace {

// Every output, for a row of elements whose inputs are all kinds of numbers.
template <typename T>
void Evaluate(const LoweredProgram& program) {
  constexpr double kNumbers[] = {-1.5, 0.0, 0.75, 3e38, -0.0, 1e-300};
  const Graph& graph = program.graph;
  std::vector<T> parameters;
  std::vector<double> exact;
  for (const Parameter& parameter : graph.parameters) {
    exact.push_back(parameter.default_value);
    parameters.push_back(static_cast<T>(parameter.default_value));
  }
  std::vector<std::vector<T>> row(3);
  size_t next = 0;
  for (std::vector<T>& element : row) {
    for (size_t i = 0; i < graph.inputs.size(); ++i) {
      element.push_back(static_cast<T>(kNumbers[next++ % std::size(kNumbers)]));
    }
  }
  const auto results = EvaluateRow<T>(
      graph, row, parameters, {.parameters = exact, .type = program.compute});
  ACTSERVE_FUZZ_CHECK(results.size() == graph.outputs.size());
}

void CheckProgram(const absl::StatusOr<LoweredProgram>& program,
                  bool must_be_there) {
  if (!program.ok()) {
    ACTSERVE_FUZZ_CHECK(absl::IsInvalidArgument(program.status()));
    ACTSERVE_FUZZ_CHECK(!must_be_there);
    return;
  }
  if (program->compute == DType::kFloat32) {
    Evaluate<float>(*program);
  } else {
    Evaluate<double>(*program);
  }
}

// A printed text is the text of the same function. It may be longer and heavier
// than texts of clients may be.
void CheckPrinted(const std::string& text) {
  Activation::Options options;
  options.limits.source_bytes = int64_t{64} << 20;
  options.limits.weight = int64_t{1} << 40;
  const auto again = Activation::Create(text, options, nullptr);
  ACTSERVE_FUZZ_CHECK(again.ok());
}

void CheckErrors(std::string_view text, const absl::Status& status,
                 const std::vector<Diagnostic>& diagnostics) {
  ACTSERVE_FUZZ_CHECK(absl::IsInvalidArgument(status));
  ACTSERVE_FUZZ_CHECK(!status.message().empty());
  // A carriage return ends a line too, as in Python.
  const auto num_lines = 1 + std::count(text.begin(), text.end(), '\n') +
                         std::count(text.begin(), text.end(), '\r');
  bool has_error = false;
  for (const Diagnostic& each : diagnostics) {
    has_error |= each.severity == Diagnostic::Severity::kError;
    ACTSERVE_FUZZ_CHECK(each.position.line >= 1 && each.position.column >= 1);
    ACTSERVE_FUZZ_CHECK(each.position.line <= num_lines + 1);
  }
  ACTSERVE_FUZZ_CHECK(has_error);
}

// The text; after a form feed, a derivative. With an x in front of the first
// "def", as in "#x", the formula is kept as written.
ACTSERVE_FUZZ_TARGET(activation) {
  const std::string_view whole(reinterpret_cast<const char*>(data), size);
  const std::string_view text = whole.substr(0, whole.find('\f'));
  Activation::Options options;
  options.exact = whole.starts_with("#x");
  if (text.size() < whole.size()) {
    options.derivative = std::string(whole.substr(text.size() + 1));
  }
  std::vector<Diagnostic> diagnostics;

  const auto activation = Activation::Create(text, options, &diagnostics);

  if (!activation.ok()) {
    const std::string_view longer =
        options.derivative.size() > text.size() ? options.derivative : text;
    return CheckErrors(longer, activation.status(), diagnostics);
  }
  const Activation& a = **activation;
  ACTSERVE_FUZZ_CHECK(a.id().size() == 71);
  std::vector<std::string> names = a.inputs();
  for (const Parameter& parameter : a.parameters()) {
    if (a.HasGradient(parameter.name)) names.push_back(parameter.name);
  }
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    CheckProgram(a.LowerForward(dtype, {}), true);
    CheckProgram(a.LowerBackward(dtype, a.inputs()), true);
  }
  CheckProgram(a.LowerBackward(DType::kFloat64, names), true);
  CheckProgram(a.LowerTangent(DType::kFloat64, a.inputs()), false);
  CheckProgram(
      a.LowerSecondOrder(DType::kFloat64, a.inputs(), a.inputs(), true), false);
  CheckPrinted(a.CanonicalText());
  const auto gradient = a.GradientText(a.inputs()[0]);
  ACTSERVE_FUZZ_CHECK(gradient.ok());
  CheckPrinted(*gradient);
}

}  // namespace
}  // namespace actserve
