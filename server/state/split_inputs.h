#ifndef ACTSERVE_SERVER_STATE_SPLIT_INPUTS_H_
#define ACTSERVE_SERVER_STATE_SPLIT_INPUTS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "kernels/device/tensor_part.h"
#include "server/state/tensor_type.h"

namespace actserve {

// One tensor that holds all inputs of an activation, as equal parts along an
// axis.
struct SplitInputs {
  TensorType type;
  int axis = 0;  // from 0
  int num_parts = 1;

  // Of each part.
  TensorType PartType() const;
  // Where the elements of part `index` lie.
  TensorPart Part(int index) const;
};

// `axis` may count from the last. `num_parts` is positive.
//   InvalidArgument  no such axis, or its size is not divisible by `num_parts`
absl::StatusOr<SplitInputs> MakeSplitInputs(const TensorType& type,
                                            int64_t axis, int num_parts);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_STATE_SPLIT_INPUTS_H_
