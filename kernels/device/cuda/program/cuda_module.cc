#include "kernels/device/cuda/program/cuda_module.h"

#include <utility>

namespace actserve {

absl::StatusOr<std::shared_ptr<const CudaModule>> CudaModule::Load(
    std::shared_ptr<CudaContext> context, const LaunchLayout& layout,
    CudaPart part, const std::string& cubin) {
  std::shared_ptr<CudaModule> module(
      new CudaModule(std::move(context), static_cast<int64_t>(cubin.size())));
  CudaContext& shared = *module->context_;
  absl::Status status = shared.Check(
      "cuModuleLoadData",
      shared.cuda().ModuleLoadData(&module->module_, cubin.data()));
  if (status.ok()) status = module->FindEntries(layout, part);
  if (!status.ok()) return status;
  return module;
}

absl::Status CudaModule::FindEntries(const LaunchLayout& layout,
                                     CudaPart part) {
  const CuFunctions& cuda = context_->cuda();
  for (KernelEntry entry : kKernelEntries) {
    if (!layout.has_entry(entry) || layout.part(entry) != part) continue;
    CuFunction& function = functions_[static_cast<size_t>(entry)];
    absl::Status status = context_->Check(
        "cuModuleGetFunction",
        cuda.ModuleGetFunction(&function, module_, KernelEntryName(entry)));
    if (status.ok() && entry == KernelEntry::kRunShared) {
      // Beyond 48 KiB a kernel has to say so.
      const TableWindow window =
          layout.SharedWindow(context_->max_shared_bytes());
      status = context_->Check(
          "cuFuncSetAttribute",
          cuda.FuncSetAttribute(function, kCuMaxDynamicSharedBytes,
                                static_cast<int>(layout.SharedBytes(window))));
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

CudaModule::~CudaModule() {
  if (module_ != nullptr && context_->Enter().ok()) {
    context_->cuda().ModuleUnload(module_);
  }
}

}  // namespace actserve
