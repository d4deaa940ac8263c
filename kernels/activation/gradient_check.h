#ifndef ACTSERVE_KERNELS_ACTIVATION_GRADIENT_CHECK_H_
#define ACTSERVE_KERNELS_ACTIVATION_GRADIENT_CHECK_H_

#include "kernels/activation/activation.h"

namespace actserve {

// The result of comparing a gradient with central differences. It is a report,
// not a verdict: a declared gradient may differ on purpose.
struct GradientCheck {
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
};

// Compares the gradient of every input and parameter with differences of the
// forward function, in float64, at a fixed set of points and the default
// parameters. Takes microseconds to milliseconds, depending on the activation's
// weight.
GradientCheck CheckGradient(const Activation& activation);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_ACTIVATION_GRADIENT_CHECK_H_
