#include "kernels/device/cuda/program/program_loader.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "kernels/base/sha256.h"
#include "kernels/base/status_macros.h"
#include "kernels/codegen/cuda/emit.h"

namespace actserve {

absl::StatusOr<std::shared_ptr<CudaProgram>> ProgramLoader::Load(
    const LoweredProgram& program, bool with_shared_look_up,
    const StopToken& stop) {
  ACTSERVE_RETURN_IF_ERROR(context_->Enter());
  const LaunchLayout layout(program);
  std::vector<Module> parts;
  for (const CudaPart part : layout.parts()) {
    if (part == CudaPart::kSharedLookUp && !with_shared_look_up) continue;
    ACTSERVE_RETURN_IF_ERROR(stop.Check());
    const std::string text = EmitCuda(program, part);
    ACTSERVE_ASSIGN_OR_RETURN(Module loaded,
                              part == CudaPart::kProgram
                                  ? LoadPart(layout, part, text)
                                  : LoadShared(layout, part, text));
    parts.push_back(std::move(loaded));
  }
  return std::make_shared<CudaProgram>(context_, program, std::move(parts));
}

absl::StatusOr<ProgramLoader::Module> ProgramLoader::LoadPart(
    const LaunchLayout& layout, CudaPart part, const std::string& text) {
  Module module;
  absl::Status status = builder_->Build(text, [&](const SassPack::Code& code) {
    ACTSERVE_ASSIGN_OR_RETURN(
        module, CudaModule::Load(context_, layout, part, code.cubin));
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return module;
}

absl::StatusOr<ProgramLoader::Module> ProgramLoader::LoadShared(
    const LaunchLayout& layout, CudaPart part, const std::string& text) {
  absl::MutexLock lock(&mutex_);
  Module& known = shared_[Sha256Id(text)];
  if (known == nullptr) {
    ACTSERVE_ASSIGN_OR_RETURN(known, LoadPart(layout, part, text));
  }
  return known;
}

}  // namespace actserve
