#include "server/message/tensor_codec.h"

#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

static_assert(static_cast<int>(DType::kFloat16) == v1::DTYPE_FLOAT16);
static_assert(static_cast<int>(DType::kBFloat16) == v1::DTYPE_BFLOAT16);
static_assert(static_cast<int>(DType::kFloat32) == v1::DTYPE_FLOAT32);
static_assert(static_cast<int>(DType::kFloat64) == v1::DTYPE_FLOAT64);

absl::Status DecodeDType(absl::string_view what, v1::DType wire, DType* dtype) {
  if (wire == v1::DTYPE_UNSPECIFIED) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": dtype is not set"));
  }
  if (!v1::DType_IsValid(wire)) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, ": dtype ", static_cast<int>(wire), " is not known"));
  }
  *dtype = static_cast<DType>(wire);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TensorType> DecodeTensor(absl::string_view what,
                                        const v1::Tensor& tensor,
                                        const TensorLimits& limits) {
  DType dtype;
  ACTSERVE_RETURN_IF_ERROR(DecodeDType(what, tensor.dtype(), &dtype));
  return MakeTensorType(what, dtype, tensor.shape(), limits);
}

v1::Tensor EncodeTensor(const TensorType& type) {
  v1::Tensor tensor;
  tensor.set_dtype(static_cast<v1::DType>(type.dtype));
  tensor.mutable_shape()->Add(type.shape.begin(), type.shape.end());
  return tensor;
}

}  // namespace actserve
