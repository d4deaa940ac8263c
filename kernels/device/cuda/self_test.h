#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_SELF_TEST_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_SELF_TEST_H_

#include "absl/status/status.h"
#include "kernels/device/device.h"

namespace actserve {

// Compiles and runs SelfTestPrograms() on `device` and compares the results: a
// GPU of which only the properties were read may still take no code, or compute
// nothing.
//   Internal  a wrong result; the message has it
// and what Device::Compile() and Device::Run() return, all with `device`'s
// name.
absl::Status SelfTest(Device& device);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_SELF_TEST_H_
