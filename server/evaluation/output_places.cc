#include "server/evaluation/output_places.h"

#include <vector>

#include "kernels/base/overlap.h"
#include "server/message/response.h"

namespace actserve {

bool OutputPlaces::IsFree(size_t i) const {
  const absl::Span<std::byte> output = outputs[i];
  for (const Fragment& fragment : message) {
    if (Overlap(output.data(), output.size(), fragment.data,
                fragment.size_bytes)) {
      return false;
    }
  }
  for (size_t k = 0; k < outputs.size(); ++k) {
    if (k != i && Overlap(output.data(), output.size(), outputs[k].data(),
                          outputs[k].size())) {
      return false;
    }
  }
  return true;
}

std::byte* OutputPlaces::Find(const TensorRequest& request, size_t tensor,
                              int64_t size_bytes) const {
  if (outputs.empty()) return nullptr;
  const std::vector<size_t> tensors = PayloadTensors(request);
  if (outputs.size() != tensors.size()) return nullptr;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i] != tensor) continue;
    const bool fits = outputs[i].size() == static_cast<size_t>(size_bytes);
    return fits && IsFree(i) ? outputs[i].data() : nullptr;
  }
  return nullptr;
}

}  // namespace actserve
