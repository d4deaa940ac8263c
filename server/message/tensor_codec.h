// Converts tensors of a message to types, and types to tensors.

#ifndef ACTSERVE_SERVER_MESSAGE_TENSOR_CODEC_H_
#define ACTSERVE_SERVER_MESSAGE_TENSOR_CODEC_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "actserve/v1/tensor.pb.h"
#include "server/state/tensor_type.h"

namespace actserve {

// Returns the type of `tensor`. `what` names it in error messages, for example
// "inputs[0]".
//   InvalidArgument  dtype not set or not known, rank over the limit, a
//                    negative dimension, or too many elements; dimensions of
//                    0 count as 1 in that, so that no partial product
//                    overflows anywhere later
absl::StatusOr<TensorType> DecodeTensor(absl::string_view what,
                                        const v1::Tensor& tensor,
                                        const TensorLimits& limits);

// Returns a message with `type` and nothing else.
v1::Tensor EncodeTensor(const TensorType& type);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_MESSAGE_TENSOR_CODEC_H_
