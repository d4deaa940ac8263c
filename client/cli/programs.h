// Compiles texts to programs, for commands that run on this machine.

#ifndef ACTSERVE_CLIENT_CLI_PROGRAMS_H_
#define ACTSERVE_CLIENT_CLI_PROGRAMS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/commands.h"
#include "kernels/activation/activation.h"
#include "kernels/base/dtype.h"
#include "kernels/graph/lowered_program.h"

namespace actserve {

using ActivationPtr = std::shared_ptr<const Activation>;

// Compiles `text`; prints every diagnostic to standard error.
absl::StatusOr<ActivationPtr> CreateActivation(
    const std::string& text, const Activation::Options& options);

// Reads and compiles what `flags` name, with CreateActivation().
//   InvalidArgument  the text has errors; they were printed
absl::StatusOr<ActivationPtr> CreateActivation(const TextFlags& flags);

// y, its gradient by all inputs, and that by each parameter.
absl::StatusOr<std::vector<LoweredProgram>> LowerAll(
    const Activation& activation, DType dtype);

// The same, and every other program that a server computes requests with (see
// GradientSets), within the weight limit.
absl::StatusOr<std::vector<LoweredProgram>> LowerForTrainers(
    const Activation& activation, DType dtype);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CLI_PROGRAMS_H_
