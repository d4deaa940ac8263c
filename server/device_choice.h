#ifndef ACTSERVE_SERVER_DEVICE_CHOICE_H_
#define ACTSERVE_SERVER_DEVICE_CHOICE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/device/device.h"

namespace actserve {

// The device of a server, and how it came to be that one.
struct ChosenDevice {
  std::unique_ptr<Device> device;
  // For people: "--device=cpu", "auto: no CUDA driver: libcuda.so.1: ...".
  std::string reason;
  // Whether it computes on the threads that call it: then a small job is done
  // sooner where it is than anywhere else.
  bool computes_on_caller = true;
};

// How devices are made. `cuda` gets the number of the GPU.
struct DeviceMakers {
  using Made = absl::StatusOr<std::unique_ptr<Device>>;
  std::function<Made()> cpu;
  std::function<Made(int ordinal)> cuda;
};

// InvalidArgument unless `wanted` is "auto", "cpu" or "cuda:N".
absl::Status ValidateDevice(absl::string_view wanted);

// The device that is `wanted`, or the error of its maker. With "auto", the
// first GPU, or the CPU and why there is no GPU.
//   InvalidArgument  as ValidateDevice()
absl::StatusOr<ChosenDevice> ChooseDevice(absl::string_view wanted,
                                          const DeviceMakers& makers);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_DEVICE_CHOICE_H_
