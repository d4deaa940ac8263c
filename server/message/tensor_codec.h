// Every check on the tensors of a request. What passes here can be computed
// on without a further look at its size.

#ifndef ACTSERVE_SERVER_MESSAGE_TENSOR_CODEC_H_
#define ACTSERVE_SERVER_MESSAGE_TENSOR_CODEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "actserve/v1/tensor.pb.h"
#include "kernels/base/dtype.h"

namespace actserve {

struct TensorLimits {
  int rank = 8;
  int64_t elements = int64_t{1} << 30;
};

// Dtype and shape of a valid tensor.
struct TensorType {
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;
  // Product of the shape: 1 for a scalar, 0 for an empty tensor.
  int64_t num_elements = 1;

  int64_t size_bytes() const { return num_elements * ItemSizeBytes(dtype); }
  bool operator==(const TensorType&) const = default;
};

// `what` names the tensor in messages, for example "inputs[0]".
//   InvalidArgument  dtype not set or not known, rank over the limit, a
//                    negative dimension, or too many elements; dimensions of
//                    0 count as 1 in that, so that no partial product
//                    overflows anywhere later
absl::StatusOr<TensorType> DecodeTensor(absl::string_view what,
                                        const v1::Tensor& tensor,
                                        const TensorLimits& limits);

// The message for `type`, and nothing in it but that.
v1::Tensor EncodeTensor(const TensorType& type);

// InvalidArgument unless `num_bytes` is what `type` needs.
absl::Status CheckPayload(absl::string_view what, const TensorType& type,
                          int64_t num_bytes);

// InvalidArgument unless `type` equals `first`, which is called `first_what`.
absl::Status CheckSameType(absl::string_view what, const TensorType& type,
                           absl::string_view first_what,
                           const TensorType& first);

// "[2, 3]"; after eight dimensions, "...".
std::string ShapeToString(absl::Span<const int64_t> shape);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_MESSAGE_TENSOR_CODEC_H_
