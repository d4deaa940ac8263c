#ifndef ACTSERVE_KERNELS_ACTIVATION_GRADIENT_CHECK_H_
#define ACTSERVE_KERNELS_ACTIVATION_GRADIENT_CHECK_H_

#include <string>
#include <vector>

#include "kernels/activation/activation.h"

namespace actserve {

// The result of comparing a gradient with central differences. It is a report,
// not a verdict: a declared gradient may differ on purpose.
struct GradientCheck {
  // Where the gradient with respect to one variable has its largest error.
  struct Variable {
    std::string name = {};  // an input or a parameter
    double max_error = 0;
    // The tensor inputs there; empty if no point was compared.
    std::vector<double> inputs = {};
    // The gradient there, for the upstream gradient 1, and the difference.
    // Where rows are read, the upstream gradient of element e is 1 + e / 8.
    double gradient = 0;
    double difference = 0;
  };

  // Points compared. Kinks, jumps and points where the function is not finite
  // are left out.
  int num_points = 0;
  // Largest |gradient - difference| / max(1, |difference|), over all inputs
  // and parameters; 0 without points.
  double max_error = 0;
  // The first input at the point of the largest error.
  double worst_input = 0;
  // Points where a gradient is NaN although the function is finite.
  int num_nan = 0;
  // Each input, then each parameter that has a gradient.
  std::vector<Variable> variables;
};

// Compares the gradient of every input and parameter with differences of the
// forward function, in float64, at a fixed set of points and the default
// parameters. Takes microseconds to milliseconds, depending on the activation's
// weight.
GradientCheck CheckGradient(const Activation& activation);

// Returns "at x = -0.5 it is 1, the slope of the function is 0" where
// `variable` differs from the differences by more than they may be wrong,
// otherwise "". `inputs` are the names of the tensor inputs.
std::string TellDifference(const GradientCheck::Variable& variable,
                           const std::vector<std::string>& inputs);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_ACTIVATION_GRADIENT_CHECK_H_
