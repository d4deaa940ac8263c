#include "client/cli/programs.h"

#include <cstdint>
#include <iostream>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "client/cli/text_file.h"
#include "kernels/activation/gradient_sets.h"
#include "kernels/lang/diagnostic.h"

namespace actserve {

absl::StatusOr<ActivationPtr> CreateActivation(
    const std::string& text, const Activation::Options& options) {
  std::vector<Diagnostic> found;
  auto activation = Activation::Create(text, options, &found);
  if (!activation.ok()) {
    std::cerr << activation.status().message() << "\n";
    return activation;
  }
  Diagnostics diagnostics(text);
  for (const Diagnostic& diagnostic : found) {
    if (diagnostic.severity == Diagnostic::Severity::kWarning) {
      diagnostics.Warning(diagnostic.position, diagnostic.message);
    } else {
      diagnostics.Note(diagnostic.position, diagnostic.message);
    }
  }
  if (!found.empty()) std::cerr << diagnostics.Render() << "\n";
  return activation;
}

absl::StatusOr<ActivationPtr> CreateActivation(const TextFlags& flags) {
  const auto request = ToRequest(flags);
  if (!request.ok()) return request.status();
  Activation::Options options;
  options.exact = request->exact();
  options.derivative = request->derivative();
  options.constants = flags.constants;
  auto activation = CreateActivation(request->text(), options);
  if (!activation.ok()) return DoesNotCompile(flags.file);
  return activation;
}

absl::StatusOr<std::vector<LoweredProgram>> LowerAll(
    const Activation& activation, DType dtype) {
  std::vector<std::vector<std::string>> directions = {activation.inputs()};
  for (const Parameter& parameter : activation.parameters()) {
    if (activation.HasGradient(parameter.name)) {
      directions.push_back({parameter.name});
    }
  }
  std::vector<LoweredProgram> programs;
  auto lowered = activation.LowerForward(dtype, {});
  for (size_t i = 0;; ++i) {
    if (!lowered.ok()) return lowered.status();
    programs.push_back(*std::move(lowered));
    if (i == directions.size()) return programs;
    lowered = activation.LowerBackward(dtype, directions[i]);
  }
}

absl::StatusOr<std::vector<LoweredProgram>> LowerForTrainers(
    const Activation& activation, DType dtype) {
  auto programs = LowerAll(activation, dtype);
  if (!programs.ok()) return programs;
  std::set<std::string> known;
  for (const LoweredProgram& program : *programs) {
    known.insert(program.program_id);
  }
  const auto add_if_it_fits = [&](absl::StatusOr<LoweredProgram> lowered) {
    if (lowered.ok() && known.insert(lowered->program_id).second) {
      programs->push_back(*std::move(lowered));
    }
  };
  const GradientSets sets(activation);
  for (const uint64_t partials : sets.forward()) {
    add_if_it_fits(
        activation.LowerForward(dtype, NamesOf(activation, partials)));
  }
  for (const uint64_t wrt : sets.backward()) {
    add_if_it_fits(activation.LowerBackward(dtype, NamesOf(activation, wrt)));
  }
  return programs;
}

}  // namespace actserve
