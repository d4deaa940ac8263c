#include "server/state/broadcasting.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

std::string NameOfInput(size_t index) {
  return absl::StrCat("inputs[", index, "]");
}

}  // namespace

absl::StatusOr<TensorType> BroadcastType(absl::Span<const TensorType> inputs) {
  const TensorType& first = inputs[0];
  std::vector<int64_t> shape = first.shape;
  for (size_t i = 1; i < inputs.size(); ++i) {
    const TensorType& type = inputs[i];
    if (type == first) continue;
    const std::vector<int64_t>& other = type.shape;
    if (other.size() > shape.size()) {
      shape.insert(shape.begin(), other.size() - shape.size(), 1);
    }
    for (size_t d = 0; d < other.size(); ++d) {
      int64_t& size = shape[shape.size() - other.size() + d];
      if (type.dtype != first.dtype ||
          (size != other[d] && size != 1 && other[d] != 1)) {
        return CheckSameType(NameOfInput(i), type, NameOfInput(0), first);
      }
      if (size == 1) size = other[d];
    }
    if (type.dtype != first.dtype) {
      return CheckSameType(NameOfInput(i), type, NameOfInput(0), first);
    }
  }
  for (const TensorType& type : inputs) {
    if (type.shape == shape) return type;
  }
  return InvalidArgument("inputs: together they broadcast to the shape ",
                         ShapeToString(shape), ", but none of them has it");
}

Broadcast BroadcastTo(absl::Span<const int64_t> small,
                      absl::Span<const int64_t> large) {
  std::vector<Broadcast::Dimension> dimensions;
  const size_t num_missing = large.size() - small.size();
  for (size_t d = 0; d < large.size(); ++d) {
    const bool repeated = d < num_missing || small[d - num_missing] != large[d];
    dimensions.push_back({large[d], repeated});
  }
  return Broadcast(dimensions);
}

absl::StatusOr<Broadcast> BroadcastAlong(absl::string_view what,
                                         const TensorType& type,
                                         std::optional<int64_t> axis,
                                         const TensorType& inputs) {
  const auto rank = static_cast<int64_t>(inputs.shape.size());
  const auto num_axes = static_cast<int64_t>(type.shape.size());
  if (type.dtype != inputs.dtype) {
    return CheckSameType(what, type, "the inputs", inputs);
  }
  if (num_axes == 0) {
    return InvalidArgument(what,
                           ": a tensor without dimensions; give a scalar");
  }
  if (!axis.has_value()) return InvalidArgument(what, ": axis is not set");
  if (*axis < -rank || *axis >= rank) {
    return InvalidArgument(
        what, ": axis ", *axis, ", but the inputs have the shape ",
        ShapeToString(inputs.shape),
        rank == 0 ? ", without an axis"
                  : absl::StrCat(": want ", -rank, " to ", rank - 1));
  }
  const int64_t first = *axis < 0 ? *axis + rank : *axis;
  const int64_t end = std::min(rank, first + num_axes);
  const auto wanted =
      absl::MakeConstSpan(inputs.shape).subspan(first, end - first);
  if (absl::MakeConstSpan(type.shape) != wanted) {
    return InvalidArgument(
        what, ": shape ", ShapeToString(type.shape), " from axis ", *axis,
        " on, but the inputs have the shape ", ShapeToString(inputs.shape),
        ": ", ShapeToString(wanted), " there");
  }
  std::vector<Broadcast::Dimension> dimensions;
  for (int64_t d = 0; d < rank; ++d) {
    dimensions.push_back({inputs.shape[d], d < first || d >= end});
  }
  return Broadcast(dimensions);
}

}  // namespace actserve
