#include "server/evaluation/device_places.h"

#include "absl/strings/str_cat.h"

namespace actserve {

// What lies on the device must be a tensor that the device computes with. If
// bytes of the message are left over, they were something that is read here, or
// a tensor that is: an item's broadcasts, for instance.
absl::Status DevicePlaces::Place(OnDevice on_device, WorkItem& item) {
  if (input_bytes_ == 0 && num_outputs_ == 0) return absl::OkStatus();
  if (!item.input_parts.empty() || !item.output_parts.empty()) {
    return absl::InvalidArgumentError(
        "tensors in device memory are not computed in parts (split_axis)");
  }
  uint64_t left_bytes = input_bytes_;
  inputs_.reserve(item.inputs.size());
  for (size_t i = 0; i < item.inputs.size(); ++i) {
    const absl::Span<const Fragment> input = item.inputs[i];
    std::byte* const data =
        input.size() == 1 ? on_device(input[0].data) : nullptr;
    if (data == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor ", i,
          " of the request is not in one region of device "
          "memory, but another tensor of the call is: all are, or none"));
    }
    left_bytes -= input[0].size_bytes;
    inputs_.push_back({data, input[0].size_bytes});
    item.inputs[i] = {&inputs_.back(), 1};
  }
  if (left_bytes != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        left_bytes,
        " bytes of the request in device memory are none of its "
        "inputs and gradients of outputs; the rest must be in host memory, and "
        "so must inputs that broadcast"));
  }
  for (size_t o = 0; o < item.outputs.size(); ++o) {
    std::byte* const data = on_device(item.outputs[o]);
    if (data == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("result ", o,
                       " has no place in device memory, apart from all other "
                       "tensors, but another tensor of the call is there"));
    }
    item.outputs[o] = data;
  }
  if (item.outputs.size() != num_outputs_) {
    return absl::InvalidArgumentError(
        absl::StrCat(num_outputs_,
                     " outputs are in device memory, but the device "
                     "writes ",
                     item.outputs.size(), ": sums must go to host memory"));
  }
  item.in_device_memory = true;
  return absl::OkStatus();
}

}  // namespace actserve
