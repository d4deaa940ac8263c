#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_BENCHMARK_STREAM_TEXT_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_BENCHMARK_STREAM_TEXT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/device/cuda/driver/cuda_api.h"

namespace actserve {

// A kernel that reads and writes and computes almost nothing, to show what
// memory allows. It copies one input, or combines two by exclusive or, word by
// word.
struct StreamKernel {
  int reads = 1;
  // 16-byte vectors of every input that a thread has under way at once.
  int vectors = 4;
  // With the hints of launch.h's kLaunchStreaming.
  bool streaming = false;

  static constexpr int kThreads = 256;
  static constexpr int kMaxVectors = 16;
  // Tensors must be multiples of this, and aligned to 16 bytes.
  static constexpr int64_t kUnitBytes = int64_t{16} * kThreads * kMaxVectors;
};

// CUDA C++ for NVRTC, and for a C++ compiler with the host's shim, like the
// texts of codegen/cuda/emit.h; the entry is KernelEntry::kRun's.
std::string StreamText(const StreamKernel& kernel);

// The blocks and the one argument of a launch over `size_bytes` a tensor;
// `inputs` are kernel.reads addresses.
struct StreamLaunch {
  unsigned grid = 0;
  std::vector<uint64_t> argument;
};
StreamLaunch PackStream(const StreamKernel& kernel, int64_t size_bytes,
                        const std::vector<CuDeviceAddress>& inputs,
                        CuDeviceAddress output);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_BENCHMARK_STREAM_TEXT_H_
