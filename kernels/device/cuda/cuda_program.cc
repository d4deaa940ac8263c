#include "kernels/device/cuda/cuda_program.h"

#include <utility>

#include "absl/status/status.h"

namespace actserve {

CudaProgram::CudaProgram(std::shared_ptr<CudaContext> context,
                         const LoweredProgram& lowered, int64_t size_bytes)
    : Program(lowered),
      context_(std::move(context)),
      layout_(lowered),
      window_(layout_.has_table()
                  ? layout_.SharedWindow(context_->max_shared_bytes())
                  : TableWindow{}),
      size_bytes_(size_bytes) {}

absl::StatusOr<std::shared_ptr<CudaProgram>> CudaProgram::Load(
    std::shared_ptr<CudaContext> context, const LoweredProgram& lowered,
    const std::string& cubin) {
  std::shared_ptr<CudaProgram> program(
      new CudaProgram(std::move(context), lowered, cubin.size()));
  CudaContext& shared = *program->context_;
  absl::Status status = shared.Check(
      "cuModuleLoadData",
      shared.cuda().ModuleLoadData(&program->module_, cubin.data()));
  if (status.ok()) status = program->FindEntries();
  if (!status.ok()) return status;
  return program;
}

absl::Status CudaProgram::FindEntries() {
  const CuFunctions& cuda = context_->cuda();
  for (KernelEntry entry : kEntries) {
    if (!layout_.has_entry(entry)) continue;
    CuFunction& function = functions_[static_cast<size_t>(entry)];
    absl::Status status = context_->Check(
        "cuModuleGetFunction",
        cuda.ModuleGetFunction(&function, module_, KernelEntryName(entry)));
    if (status.ok() && entry == KernelEntry::kRunShared) {
      // Beyond 48 KiB a kernel has to say so.
      status =
          context_->Check("cuFuncSetAttribute",
                          cuda.FuncSetAttribute(
                              function, kCuMaxDynamicSharedBytes,
                              static_cast<int>(layout_.SharedBytes(window_))));
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

CudaProgram::~CudaProgram() {
  if (module_ != nullptr && context_->Enter().ok()) {
    context_->cuda().ModuleUnload(module_);
  }
}

absl::Status CudaProgram::Launch(KernelEntry entry, const PackedLaunch& launch,
                                 CuStream stream) const {
  if (launch.grid == 0) return absl::OkStatus();
  // The driver copies the argument before it returns; it does not write to it.
  void* parameters[] = {const_cast<uint64_t*>(launch.argument.data())};
  context_->CountLaunch();
  return context_->Check(
      "cuLaunchKernel",
      context_->cuda().LaunchKernel(functions_[static_cast<size_t>(entry)],
                                    static_cast<unsigned>(launch.grid), 1, 1,
                                    static_cast<unsigned>(launch.block), 1, 1,
                                    static_cast<unsigned>(launch.shared_bytes),
                                    stream, parameters, nullptr));
}

}  // namespace actserve
