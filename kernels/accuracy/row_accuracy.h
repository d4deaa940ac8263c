// Measures how far a device's results for rows are from the exact ones.

#ifndef ACTSERVE_KERNELS_ACCURACY_ROW_ACCURACY_H_
#define ACTSERVE_KERNELS_ACCURACY_ROW_ACCURACY_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "kernels/activation/activation.h"
#include "kernels/base/dtype.h"
#include "kernels/device/device.h"

namespace actserve {

// The largest errors over some rows, in units in the last place (ulp).
struct RowAccuracy {
  // Of the exact result.
  double max_ulp = 0;
  // Of the exact result's terms: of its value if no terms cancelled, neither
  // in it nor in what it is computed from. Where they do, as in gradients by a
  // row, no limit in ulp of the result holds. The argument of exp counts, too,
  // since its absolute error becomes a relative one of the result.
  double max_term_ulp = 0;
  // Results that are finite where the exact ones are not, or the reverse.
  int64_t num_special_mismatches = 0;
};

// Runs `activation`, which has one tensor input and reads rows, with its
// default parameters on random rows of `row_size` elements: normally
// distributed around 0 and 3, of standard deviation 0.01, 1 and 30; of more
// than 10,000 elements only (0, 30) and (3, 1). Compares the output, or
// (`derivative`) the gradient by the input for a normally distributed upstream
// gradient, with the exact result in 320 bits. Rows of float32 of more than
// 2^16 elements are compared with float64.
//   InvalidArgument  more than one input, a 16-bit type, or float64 of so
//                    many elements
absl::StatusOr<RowAccuracy> MeasureRowAccuracy(Device& device,
                                               const Activation& activation,
                                               DType dtype, bool derivative,
                                               int64_t row_size);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_ACCURACY_ROW_ACCURACY_H_
