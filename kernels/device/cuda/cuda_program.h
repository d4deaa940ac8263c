#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_CUDA_PROGRAM_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_CUDA_PROGRAM_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/device/cuda/cuda_context.h"
#include "kernels/device/device.h"

namespace actserve {

// A program of a CUDA device: machine code that is loaded on it.
class CudaProgram final : public Program {
 public:
  // `context` must be the calling thread's (CudaContext::Enter()).
  //   Internal           the driver does not take the code
  //   ResourceExhausted  the device has no room for it
  //   Unavailable        the device is lost
  static absl::StatusOr<std::shared_ptr<CudaProgram>> Load(
      std::shared_ptr<CudaContext> context, const LoweredProgram& lowered,
      const std::string& cubin);
  ~CudaProgram() override;

  const LaunchLayout& layout() const { return layout_; }
  // What kRunShared keeps in shared memory on this device.
  TableWindow window() const { return window_; }
  // Of the machine code.
  int64_t size_bytes() const { return size_bytes_; }

  // Puts a launch on `stream`; none if there is nothing to do.
  //   Internal, Unavailable  as CudaContext::Check()
  absl::Status Launch(KernelEntry entry, const PackedLaunch& launch,
                      CuStream stream) const;

 private:
  static constexpr KernelEntry kEntries[] = {
      KernelEntry::kRun, KernelEntry::kFinishSums, KernelEntry::kFillTable,
      KernelEntry::kRunShared};

  CudaProgram(std::shared_ptr<CudaContext> context,
              const LoweredProgram& lowered, int64_t size_bytes);

  absl::Status FindEntries();

  const std::shared_ptr<CudaContext> context_;
  const LaunchLayout layout_;
  const TableWindow window_;
  const int64_t size_bytes_;
  CuModule module_ = nullptr;
  std::array<CuFunction, std::size(kEntries)> functions_ = {};
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_CUDA_PROGRAM_H_
