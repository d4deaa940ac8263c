#include "server/state/split_inputs.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"

namespace actserve {

TensorType SplitInputs::PartType() const {
  TensorType part = type;
  part.shape[axis] /= num_parts;
  part.num_elements /= num_parts;
  return part;
}

TensorPart SplitInputs::Part(int index) const {
  int64_t run = type.shape[axis] / num_parts;
  for (size_t d = axis + 1; d < type.shape.size(); ++d) run *= type.shape[d];
  // Empty parts have runs too.
  run = std::max<int64_t>(1, run);
  return {.run = run, .stride = run * num_parts, .offset = run * index};
}

absl::StatusOr<SplitInputs> MakeSplitInputs(const TensorType& type,
                                            int64_t axis, int num_parts) {
  const auto rank = static_cast<int64_t>(type.shape.size());
  const std::string shape = ShapeToString(type.shape);
  if (axis < -rank || axis >= rank) {
    return absl::InvalidArgumentError(absl::StrCat(
        "split_axis: ", axis, ", but inputs[0] has the shape ", shape,
        rank == 0 ? ", without an axis"
                  : absl::StrCat(": want ", -rank, " to ", rank - 1)));
  }
  const auto first = static_cast<int>(axis < 0 ? axis + rank : axis);
  if (type.shape[first] % num_parts != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "split_axis: ", axis, ", but inputs[0] has the shape ", shape, ": ",
        type.shape[first], " along that axis is not divisible by ", num_parts,
        ", the number of inputs"));
  }
  return SplitInputs{type, first, num_parts};
}

}  // namespace actserve
