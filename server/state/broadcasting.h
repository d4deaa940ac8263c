// Tensors of a request that have fewer elements than its result.

#ifndef ACTSERVE_SERVER_STATE_BROADCASTING_H_
#define ACTSERVE_SERVER_STATE_BROADCASTING_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernels/graph/broadcast.h"
#include "server/state/tensor_type.h"

namespace actserve {

// The type that the inputs of a request broadcast to, by NumPy's rule: shapes
// are aligned at their last dimension, and sizes that differ must be 1 but for
// one. One of `inputs` has it. `inputs` is not empty.
//   InvalidArgument  dtypes differ, shapes do not fit, or no input has it
absl::StatusOr<TensorType> BroadcastType(absl::Span<const TensorType> inputs);

// How a tensor of shape `small`, which fits by that rule, is read as one of
// shape `large`.
Broadcast BroadcastTo(absl::Span<const int64_t> small,
                      absl::Span<const int64_t> large);

// How a tensor of type `type` is read whose dimensions lie on `axis` and the
// axes after it. `what` names it in errors, `inputs` is the type of the inputs.
//   InvalidArgument  no axis, one out of range, another dtype, or sizes that
//                    are not those of the inputs there
absl::StatusOr<Broadcast> BroadcastAlong(absl::string_view what,
                                         const TensorType& type,
                                         std::optional<int64_t> axis,
                                         const TensorType& inputs);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_STATE_BROADCASTING_H_
