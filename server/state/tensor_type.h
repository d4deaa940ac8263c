// Element type and shape of a tensor, and every check on them. A tensor that
// passed needs no further look at its size.

#ifndef ACTSERVE_SERVER_STATE_TENSOR_TYPE_H_
#define ACTSERVE_SERVER_STATE_TENSOR_TYPE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernels/base/dtype.h"

namespace actserve {

// Limits on one tensor.
struct TensorLimits {
  int rank = 8;
  int64_t elements = int64_t{1} << 30;
};

// The element type and shape of a valid tensor.
struct TensorType {
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;
  // Product of the shape: 1 for a scalar, 0 for an empty tensor.
  int64_t num_elements = 1;

  int64_t size_bytes() const { return num_elements * ItemSizeBytes(dtype); }
  bool operator==(const TensorType&) const = default;
};

// Returns the type of a tensor of `dtype` and `shape`. `what` names the tensor
// in error messages, for example "inputs[0]".
//   InvalidArgument  the rank or the number of elements is over its limit, or a
//                    dimension is negative. A dimension of 0 counts as 1 for
//                    the limit, so that no partial product overflows later.
absl::StatusOr<TensorType> MakeTensorType(absl::string_view what, DType dtype,
                                          absl::Span<const int64_t> shape,
                                          const TensorLimits& limits);

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

#endif  // ACTSERVE_SERVER_STATE_TENSOR_TYPE_H_
