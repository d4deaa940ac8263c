// The kernel of the probe: relu in float32, a built-in, so that a pack has it.

#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_PROBE_RELU_CHECK_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_PROBE_RELU_CHECK_H_

#include <vector>

#include "absl/status/statusor.h"
#include "kernels/device/cuda/cuda_device.h"
#include "kernels/device/cuda/probe/probe_report.h"
#include "kernels/graph/lowered_program.h"

namespace actserve {

inline constexpr int kReluElements = 1000;

absl::StatusOr<LoweredProgram> LowerRelu();

// Numbers of both signs, and 0.
std::vector<float> ReluInputs();

// Fails the row unless `outputs` are relu's of ReluInputs(), bit for bit.
void CheckReluOutputs(const std::vector<float>& outputs, ProbeRow& row);

// The outputs of ReluInputs() on `device`; errors as of its Compile() and
// Run().
absl::StatusOr<std::vector<float>> RunRelu(CudaDevice& device);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_PROBE_RELU_CHECK_H_
