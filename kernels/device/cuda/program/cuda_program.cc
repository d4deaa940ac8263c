#include "kernels/device/cuda/program/cuda_program.h"

#include <utility>

namespace actserve {

CudaProgram::CudaProgram(std::shared_ptr<CudaContext> context,
                         const LoweredProgram& lowered,
                         std::vector<std::shared_ptr<const CudaModule>> parts)
    : Program(lowered),
      context_(std::move(context)),
      layout_(lowered),
      window_(layout_.has_table()
                  ? layout_.SharedWindow(context_->max_shared_bytes())
                  : TableWindow{}),
      parts_(std::move(parts)) {}

CuFunction CudaProgram::function(KernelEntry entry) const {
  for (const auto& part : parts_) {
    if (CuFunction found = part->function(entry)) return found;
  }
  return nullptr;
}

absl::Status CudaProgram::Launch(const PackedLaunch& launch,
                                 CuStream stream) const {
  if (launch.grid == 0) return absl::OkStatus();
  // The driver copies the argument before it returns; it does not write to it.
  void* parameters[] = {const_cast<uint64_t*>(launch.argument.data())};
  context_->CountLaunch();
  return context_->Check(
      "cuLaunchKernel",
      context_->cuda().LaunchKernel(function(launch.entry),
                                    static_cast<unsigned>(launch.grid), 1, 1,
                                    static_cast<unsigned>(launch.block), 1, 1,
                                    static_cast<unsigned>(launch.shared_bytes),
                                    stream, parameters, nullptr));
}

}  // namespace actserve
