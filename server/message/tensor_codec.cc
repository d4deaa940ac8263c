#include "server/message/tensor_codec.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace actserve {
namespace {

static_assert(static_cast<int>(DType::kFloat16) == v1::DTYPE_FLOAT16);
static_assert(static_cast<int>(DType::kBFloat16) == v1::DTYPE_BFLOAT16);
static_assert(static_cast<int>(DType::kFloat32) == v1::DTYPE_FLOAT32);
static_assert(static_cast<int>(DType::kFloat64) == v1::DTYPE_FLOAT64);

std::string NameOf(DType dtype) { return std::string(DTypeName(dtype)); }

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
  TensorType type;
  if (absl::Status status = DecodeDType(what, tensor.dtype(), &type.dtype);
      !status.ok()) {
    return status;
  }
  if (tensor.shape_size() > limits.rank) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": rank ", tensor.shape_size(),
                     " is over the limit of ", limits.rank));
  }
  type.shape.assign(tensor.shape().begin(), tensor.shape().end());
  int64_t product = 1;  // with 1 for each dimension of 0
  for (size_t i = 0; i < type.shape.size(); ++i) {
    const int64_t dimension = type.shape[i];
    if (dimension < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": shape ", ShapeToString(type.shape),
                       ": dimension ", i, " is negative"));
    }
    const int64_t factor = std::max<int64_t>(dimension, 1);
    if (factor > limits.elements / product) {
      return absl::InvalidArgumentError(absl::StrCat(
          what, ": shape ", ShapeToString(type.shape), " has more than ",
          limits.elements, " elements, the limit"));
    }
    product *= factor;
    type.num_elements *= dimension;
  }
  return type;
}

v1::Tensor EncodeTensor(const TensorType& type) {
  v1::Tensor tensor;
  tensor.set_dtype(static_cast<v1::DType>(type.dtype));
  tensor.mutable_shape()->Add(type.shape.begin(), type.shape.end());
  return tensor;
}

absl::Status CheckPayload(absl::string_view what, const TensorType& type,
                          int64_t num_bytes) {
  if (num_bytes == type.size_bytes()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": payload of ", num_bytes, " bytes, but shape ",
                   ShapeToString(type.shape), " of ", NameOf(type.dtype),
                   " needs ", type.size_bytes()));
}

absl::Status CheckSameType(absl::string_view what, const TensorType& type,
                           absl::string_view first_what,
                           const TensorType& first) {
  if (type.dtype != first.dtype) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": dtype ", NameOf(type.dtype), " differs from ",
                     NameOf(first.dtype), " of ", first_what));
  }
  if (type.shape != first.shape) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, ": shape ", ShapeToString(type.shape), " differs from ",
        ShapeToString(first.shape), " of ", first_what));
  }
  return absl::OkStatus();
}

std::string ShapeToString(absl::Span<const int64_t> shape) {
  constexpr size_t kMaxShown = 8;
  return absl::StrCat("[", absl::StrJoin(shape.subspan(0, kMaxShown), ", "),
                      shape.size() > kMaxShown ? ", ...]" : "]");
}

}  // namespace actserve
