#ifndef ACTSERVE_SERVER_ENGINE_DEVICE_CHOICE_H_
#define ACTSERVE_SERVER_ENGINE_DEVICE_CHOICE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/device/device.h"

namespace actserve {

// The device of a server, and why it was chosen.
struct ChosenDevice {
  std::unique_ptr<Device> device;
  // For people: "--device=cpu", "auto: no CUDA driver: libcuda.so.1: ...".
  std::string reason;
  // True if it computes on the threads that call it. Then a small job is done
  // soonest on the thread that has it.
  bool computes_on_caller = true;
};

// Functions that make devices. `cuda` gets the number of the GPU.
struct DeviceMakers {
  using Made = absl::StatusOr<std::unique_ptr<Device>>;
  std::function<Made()> cpu;
  std::function<Made(int ordinal)> cuda;
};

// InvalidArgument unless `wanted` is "auto", "cpu" or "cuda:N".
absl::Status ValidateDevice(absl::string_view wanted);

// Makes the device that is `wanted`, or returns the error of its maker. "auto"
// makes the first GPU; if that fails it makes the CPU, and the reason says why.
//   InvalidArgument  as ValidateDevice()
absl::StatusOr<ChosenDevice> ChooseDevice(absl::string_view wanted,
                                          const DeviceMakers& makers);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_ENGINE_DEVICE_CHOICE_H_
