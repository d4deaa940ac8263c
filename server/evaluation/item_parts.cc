#include "server/evaluation/item_parts.h"

namespace actserve {

using Direction = ProgramKey::Direction;

void SetInputs(const TensorRequest& request, size_t num_tensors,
               absl::FunctionRef<absl::Span<const Fragment>(size_t)> tensor,
               WorkItem* item) {
  if (!request.split.has_value()) {
    item->inputs.reserve(num_tensors);
    for (size_t t = 0; t < num_tensors; ++t) item->inputs.push_back(tensor(t));
    return;
  }
  const Direction direction = request.program.direction;
  const bool has_upstream =
      direction == Direction::kBackward || direction == Direction::kSecondOrder;
  const bool has_resident =
      request.residual != nullptr && request.residual->resident != nullptr;
  for (size_t t = 0; t < num_tensors; ++t) {
    // All are like the inputs but the upstream gradient.
    if (has_upstream && t == (has_resident ? 0 : 1)) {
      item->inputs.emplace_back(tensor(t));
      item->input_parts.emplace_back();
      continue;
    }
    for (int p = 0; p < request.split->num_parts; ++p) {
      item->inputs.emplace_back(tensor(t));
      item->input_parts.push_back(request.split->Part(p));
    }
  }
}

std::vector<TensorPart> OutputParts(const TensorRequest& request) {
  std::vector<TensorPart> parts;
  const Direction direction = request.program.direction;
  if (!request.split.has_value() || direction == Direction::kTangent) {
    return parts;
  }
  if (direction == Direction::kForward) parts.emplace_back();
  for (int p = 0; p < request.split->num_parts; ++p) {
    if (request.program.variables >> p & 1) {
      parts.push_back(request.split->Part(p));
    }
  }
  return parts;
}

}  // namespace actserve
