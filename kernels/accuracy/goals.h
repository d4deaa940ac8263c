// What the accuracy of each built-in has to be.

#ifndef ACTSERVE_KERNELS_ACCURACY_GOALS_H_
#define ACTSERVE_KERNELS_ACCURACY_GOALS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/accuracy/accuracy.h"
#include "kernels/base/dtype.h"

namespace actserve {

struct AccuracyGoal {
  // Of float32 and float64 results, see Accuracy.
  double max_ulp = 4;
  double max_subnormal_ulp = 1;
  // The derivative has a root: its max_ulp is judged by max_term_ulp.
  bool has_root = false;
  // Of a 16-bit type's 65,536 results, ties that float64 cannot see apart.
  int64_t max_misrounded = 0;
};

// The goal for a catalogue entry's value or derivative. An entry that is not
// in the table has the general one: 4 ulp, and 6 for the derivative.
AccuracyGoal GoalFor(std::string_view activation, bool derivative);

// What is reached where that is short of the goal, and why.
struct AccuracyException {
  std::string_view activation;
  bool derivative = false;
  double max_ulp = 0;
  double max_subnormal_ulp = 0;
  std::string_view reason;
};

// The exception for a catalogue entry, or nullptr.
const AccuracyException* FindException(std::string_view activation,
                                       bool derivative);

// The goal, or the exception's figures in its place: what may not get worse.
AccuracyGoal LimitFor(std::string_view activation, bool derivative);

// What of `accuracy` is beyond `goal`, with figure and limit; "" if nothing.
std::string Shortfall(const AccuracyGoal& goal, DType dtype,
                      const Accuracy& accuracy);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_ACCURACY_GOALS_H_
