#include "server/state/tensor_type.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace actserve {
namespace {

std::string NameOf(DType dtype) { return std::string(DTypeName(dtype)); }

}  // namespace

absl::StatusOr<TensorType> MakeTensorType(absl::string_view what, DType dtype,
                                          absl::Span<const int64_t> shape,
                                          const TensorLimits& limits) {
  if (static_cast<int64_t>(shape.size()) > limits.rank) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": rank ", shape.size(), ", limit ", limits.rank));
  }
  TensorType type;
  type.dtype = dtype;
  type.shape.assign(shape.begin(), shape.end());
  int64_t product = 1;  // with 1 for each dimension of 0
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": shape ", ShapeToString(shape), ": dimension ",
                       i, " is negative"));
    }
    const int64_t factor = std::max<int64_t>(shape[i], 1);
    if (factor > limits.elements / product) {
      const bool is_empty = std::ranges::find(shape, 0) != shape.end();
      return absl::InvalidArgumentError(absl::StrCat(
          what, ": shape ", ShapeToString(shape),
          is_empty ? ": the dimensions beside 0 multiply to too much, limit "
                   : ": too many elements, limit ",
          limits.elements));
    }
    product *= factor;
    type.num_elements *= shape[i];
  }
  return type;
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
