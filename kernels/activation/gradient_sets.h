#ifndef ACTSERVE_KERNELS_ACTIVATION_GRADIENT_SETS_H_
#define ACTSERVE_KERNELS_ACTIVATION_GRADIENT_SETS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/activation/activation.h"

namespace actserve {

// Which gradients of an activation share a program.
//
// A request may name any of the 2^n sets of n variables. Would each be a
// program, one text could keep a compiler busy for days. So only the sets that
// trainers use are: each variable alone, all inputs, and all variables. Any
// other set is computed by the smallest of these that contains it, with the
// same bits, for no output of a program depends on the others. It costs what
// that program costs: up to 2.4 times as much in a test with four variables.
//
// A set is a number whose bit i stands for the i-th of the inputs and
// parameters, in that order. There may be 64 of them. Immutable.
class GradientSets {
 public:
  // Takes about a millisecond.
  explicit GradientSets(const Activation& activation);

  // The set whose program computes the partials, or the gradients, of `wanted`:
  // `wanted` itself where no larger program is within the limits, or where it
  // names what has no gradient.
  uint64_t ForForward(uint64_t wanted) const;
  uint64_t ForBackward(uint64_t wanted) const;

  // Every set that is computed by its own program, the empty one included for
  // Forward.
  std::vector<uint64_t> forward() const;
  std::vector<uint64_t> backward() const;

 private:
  // All inputs, for each direction, and all that have a gradient; 0 if the
  // program is over the limits.
  uint64_t partials_ = 0;
  uint64_t inputs_ = 0;
  uint64_t all_ = 0;
  // Those of which each has a program of its own.
  uint64_t single_partials_ = 0;
  uint64_t singles_ = 0;
};

// The names in `set`, in the order of the activation.
std::vector<std::string> NamesOf(const Activation& activation, uint64_t set);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_ACTIVATION_GRADIENT_SETS_H_
