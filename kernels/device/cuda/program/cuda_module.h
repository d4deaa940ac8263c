#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_CUDA_MODULE_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_CUDA_MODULE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/device/cuda/driver/cuda_context.h"

namespace actserve {

// The machine code of one part, loaded on a device. Several programs may share
// it. Immutable.
class CudaModule {
 public:
  // `context` must be the calling thread's (CudaContext::Enter()). `layout` is
  // that of a program with this part.
  //   Internal           the driver does not take the code
  //   ResourceExhausted  the device has no room for it
  //   Unavailable        the device is lost
  static absl::StatusOr<std::shared_ptr<const CudaModule>> Load(
      std::shared_ptr<CudaContext> context, const LaunchLayout& layout,
      CudaPart part, const std::string& cubin);
  ~CudaModule();

  // nullptr if the part has no such entry.
  CuFunction function(KernelEntry entry) const {
    return functions_[static_cast<size_t>(entry)];
  }
  // Bytes of the machine code.
  int64_t size_bytes() const { return size_bytes_; }

 private:
  CudaModule(std::shared_ptr<CudaContext> context, int64_t size_bytes)
      : context_(std::move(context)), size_bytes_(size_bytes) {}

  absl::Status FindEntries(const LaunchLayout& layout, CudaPart part);

  const std::shared_ptr<CudaContext> context_;
  const int64_t size_bytes_;
  CuModule module_ = nullptr;
  std::array<CuFunction, kNumKernelEntries> functions_ = {};
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_CUDA_MODULE_H_
