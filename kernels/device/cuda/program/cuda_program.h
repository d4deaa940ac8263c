#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_CUDA_PROGRAM_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_CUDA_PROGRAM_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/device/cuda/driver/cuda_context.h"
#include "kernels/device/cuda/program/cuda_module.h"
#include "kernels/device/device.h"

namespace actserve {

// A program of a CUDA device: its parts, loaded. See ProgramLoader.
class CudaProgram final : public Program {
 public:
  // `parts` begin with CudaPart::kProgram, which is this program's alone.
  CudaProgram(std::shared_ptr<CudaContext> context,
              const LoweredProgram& lowered,
              std::vector<std::shared_ptr<const CudaModule>> parts);

  const LaunchLayout& layout() const { return layout_; }
  // Returns whether the part that has the entry is loaded.
  bool can_launch(KernelEntry entry) const {
    return function(entry) != nullptr;
  }
  // The table entries that kRunShared keeps in shared memory on this device.
  TableWindow window() const { return window_; }
  // Bytes of the machine code that no other program shares.
  int64_t size_bytes() const { return parts_[0]->size_bytes(); }

  // Puts a launch on `stream`, unless there is nothing to do. The entry must be
  // loaded.
  //   Internal, Unavailable  as CudaContext::Check()
  absl::Status Launch(const PackedLaunch& launch, CuStream stream) const;

 private:
  CuFunction function(KernelEntry entry) const;

  const std::shared_ptr<CudaContext> context_;
  const LaunchLayout layout_;
  const TableWindow window_;
  const std::vector<std::shared_ptr<const CudaModule>> parts_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_CUDA_PROGRAM_H_
