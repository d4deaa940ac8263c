#ifndef ACTSERVE_SERVER_EVALUATION_DEVICE_PLACES_H_
#define ACTSERVE_SERVER_EVALUATION_DEVICE_PLACES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "kernels/device/device.h"

namespace actserve {

// The tensors of a call that are in the device's own memory. In the call,
// addresses of this process where nothing is to be read stand for them.
class DevicePlaces {
 public:
  // Where the device has what that address stands for; null if it stands for
  // nothing.
  using OnDevice = absl::FunctionRef<std::byte*(const std::byte*)>;

  // Bytes of the call's message there.
  void CountInput(size_t size_bytes) { input_bytes_ += size_bytes; }
  // One of the places for results is there.
  void CountOutput() { ++num_outputs_; }

  // Lets `item` be computed there; no effect if nothing was counted. Call it
  // once; this object must outlive the item.
  //   InvalidArgument  other tensors of the item are not there, or what was
  //                    counted is none of its tensors
  absl::Status Place(OnDevice on_device, WorkItem& item);

 private:
  uint64_t input_bytes_ = 0;
  size_t num_outputs_ = 0;
  // The inputs by their addresses on the device.
  std::vector<Fragment> inputs_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_EVALUATION_DEVICE_PLACES_H_
