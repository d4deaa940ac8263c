#include "server/evaluation/output_places.h"

#include <vector>

#include "kernels/base/overlap.h"
#include "server/message/response.h"

namespace actserve {
namespace {

// True if nothing else lies where output `i` is to be written.
bool IsFree(const OutputPlaces& places, size_t i) {
  const absl::Span<std::byte> output = places.outputs[i];
  for (const Fragment& fragment : places.message) {
    if (Overlap(output.data(), output.size(), fragment.data,
                fragment.size_bytes)) {
      return false;
    }
  }
  for (size_t k = 0; k < places.outputs.size(); ++k) {
    if (k != i && Overlap(output.data(), output.size(),
                          places.outputs[k].data(), places.outputs[k].size())) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::byte* OutputPlaces::Find(const TensorRequest& request, size_t tensor,
                              int64_t size_bytes) const {
  if (outputs.empty()) return nullptr;
  const std::vector<size_t> tensors = PayloadTensors(request);
  if (outputs.size() != tensors.size()) return nullptr;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i] != tensor) continue;
    const bool fits = outputs[i].size() == static_cast<size_t>(size_bytes);
    return fits && IsFree(*this, i) ? outputs[i].data() : nullptr;
  }
  return nullptr;
}

}  // namespace actserve
