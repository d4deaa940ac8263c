// Measures how far a device's results are from the exact ones.

#ifndef ACTSERVE_KERNELS_ACCURACY_ACCURACY_H_
#define ACTSERVE_KERNELS_ACCURACY_ACCURACY_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/activation/activation.h"
#include "kernels/base/dtype.h"
#include "kernels/device/device.h"

namespace actserve {

// The errors of one function, a value or a derivative, over many inputs. A unit
// in the last place (ulp) is that of the exact result in the result's type;
// below the smallest normal number it is the smallest subnormal.
struct Accuracy {
  int64_t num_points = 0;
  // Largest |computed - exact| in ulp, where the exact result is a normal
  // number, and where it happens.
  double max_ulp = 0;
  double worst_input = 0;
  // The same where it is subnormal.
  double max_subnormal_ulp = 0;
  // Derivatives with a root have no bound in ulp of their own there; this is
  // the largest error in ulp of max(|f'(x)|, |f(x) / x|), the terms that
  // cancel. Equal to max_ulp where there is no cancellation.
  double max_term_ulp = 0;
  // Results that are not the exact one rounded to nearest even, and those
  // among them where the exact result is a tie but for less than 2^-30 ulp.
  int64_t num_misrounded = 0;
  int64_t num_near_ties = 0;
  // Points where exactly one of both is NaN, or both are infinite with other
  // signs, or one overflows and the other is not near the threshold. An
  // infinite input without a limit in the formula (inf * 0) is not counted.
  int64_t num_special_mismatches = 0;
  double special_mismatch_input = 0;
};

// Inputs of `dtype`: all 65,536 of a 16-bit type; otherwise about `num_points`
// spread evenly over the bit patterns, so over all exponents and both signs,
// and as many within [-100, 100]. NaN is among them.
std::vector<double> AccuracyInputs(DType dtype, int64_t num_points);

// Runs `activation`, which has one tensor input, with its default parameters
// on `device` and compares with the exact result in 320 bits: of its output,
// or (`derivative`) of d(output)/d(input).
//
// With `trust_float64` most results of a 16-bit type are compared with the
// activation's float64 result instead, where that is not within 2^-44 of a
// tie: much faster, and as good as the float64 result, which is to be
// measured beside it. Every 61st point is compared exactly all the same.
//   InvalidArgument  more than one input, or it reads rows, or draws
absl::StatusOr<Accuracy> MeasureAccuracy(Device& device,
                                         const Activation& activation,
                                         DType dtype, bool derivative,
                                         int64_t num_points,
                                         bool trust_float64 = false);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_ACCURACY_ACCURACY_H_
