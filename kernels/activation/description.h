#ifndef ACTSERVE_KERNELS_ACTIVATION_DESCRIPTION_H_
#define ACTSERVE_KERNELS_ACTIVATION_DESCRIPTION_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/activation/activation.h"
#include "kernels/activation/gradient_check.h"
#include "kernels/graph/graph.h"

namespace actserve {

// Everything about an activation that a person or a client may want to read.
struct ActivationDescription {
  struct Gradient {
    // The input or parameter.
    std::string name;
    // d(output)/d(name), as text that Parse() accepts, or why it cannot be had.
    // Where rows are read, d(rowsum(output))/d(name): of a parameter, the
    // element's term of it.
    absl::StatusOr<std::string> text;
  };

  std::string id;
  std::string name;
  std::string text;
  std::string doc;
  std::vector<std::string> inputs;
  std::vector<Parameter> parameters;
  bool declared_gradient = false;
  bool reads_rows = false;
  std::vector<std::string> rewrites;
  // One per input, then one per parameter.
  std::vector<Gradient> gradients;
  // The function as straight-line text, one operation a line.
  std::string program;
  GradientCheck gradient_check;
};

// Describes `activation`. Takes microseconds to milliseconds, by its weight.
ActivationDescription Describe(const Activation& activation);

// Limits on the texts of gradients, in bytes.
struct GradientTextLimits {
  size_t each = std::string::npos;
  size_t together = std::string::npos;
};

// Returns the gradients of `activation` by each input and then each parameter,
// as Describe() does. A text over a limit is cut and ends in a line "# cut: ";
// where nothing is left of `together`, it is that line alone, and costs no
// work.
std::vector<ActivationDescription::Gradient> DescribeGradients(
    const Activation& activation, const GradientTextLimits& limits);

// Describes `activation` without gradients, program and gradient check: copies
// only.
ActivationDescription Summarize(const Activation& activation);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_ACTIVATION_DESCRIPTION_H_
