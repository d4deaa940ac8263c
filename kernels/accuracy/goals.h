// The accuracy that each built-in must have.

#ifndef ACTSERVE_KERNELS_ACCURACY_GOALS_H_
#define ACTSERVE_KERNELS_ACCURACY_GOALS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/accuracy/accuracy.h"
#include "kernels/base/dtype.h"

namespace actserve {

// Limits on the errors of one function.
struct AccuracyGoal {
  // Limits for float32 and float64 results; see Accuracy.
  double max_ulp = 4;
  double max_subnormal_ulp = 1;
  // The derivative has a root: its max_ulp is judged by max_term_ulp.
  bool has_root = false;
  // Limit on misrounded results among the 65,536 of a 16-bit type: ties that
  // float64 cannot tell apart.
  int64_t max_misrounded = 0;
};

// Returns the goal for the value or the derivative of a built-in. One that is
// not in the table has the general goal: 4 ulp, and 6 for the derivative.
AccuracyGoal GoalFor(std::string_view activation, bool derivative);

// The accuracy of a function that misses its goal, and the reason.
struct AccuracyException {
  std::string_view activation;
  bool derivative = false;
  double max_ulp = 0;
  double max_subnormal_ulp = 0;
  std::string_view reason;
};

// Returns the exception for a built-in, or nullptr.
const AccuracyException* FindException(std::string_view activation,
                                       bool derivative);

// Returns the goal, or the exception's figures if there is one. These may not
// get worse.
AccuracyGoal LimitFor(std::string_view activation, bool derivative);

// Names the figures of `accuracy` that are beyond `goal`, with their limits; ""
// if none is.
std::string Shortfall(const AccuracyGoal& goal, DType dtype,
                      const Accuracy& accuracy);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_ACCURACY_GOALS_H_
