// One program on the host shim, as a device would run it.

#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_SHIM_RUNS_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_SHIM_RUNS_H_

#include <string>
#include <vector>

#include "kernels/codegen/cuda/testing/host_shim.h"
#include "kernels/device/testing/reference.h"
#include "kernels/graph/lowered_program.h"

namespace actserve::testing {

// One request: tensors as strings of bytes.
struct ShimRequest {
  std::vector<std::string> inputs;
  std::vector<double> parameters;
  Rows rows = {};
  int64_t element_offset = 0;
  std::vector<BroadcastTensor> broadcasts = {};
};

// Choices for one run.
struct ShimOptions {
  // Elements by which every tensor's address is off a multiple of 16 bytes.
  int misalignment = 0;
  bool streaming = false;
  // For programs with tables: run kRunShared with this much shared memory, and
  // every request in its own launch (tables differ). 0: run kRun.
  int64_t shared_bytes = 0;
};

// All requests in one launch of each entry that the program has, which is that
// of the module with the number. Those with tensors that broadcast have
// launches of their own.
std::vector<Results> RunOnShim(const HostModule& module, int number,
                               const LoweredProgram& program,
                               const std::vector<ShimRequest>& requests,
                               const ShimOptions& options);

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_SHIM_RUNS_H_
