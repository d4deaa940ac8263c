#include "kernels/device/cuda/program/program_loader.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "kernels/base/sha256.h"
#include "kernels/codegen/cuda/emit.h"

namespace actserve {

absl::StatusOr<std::shared_ptr<CudaProgram>> ProgramLoader::Load(
    const LoweredProgram& program, bool with_shared_look_up) {
  absl::Status status = context_->Enter();
  if (!status.ok()) return status;
  const LaunchLayout layout(program);
  std::vector<Module> parts;
  for (const CudaPart part : layout.parts()) {
    if (part == CudaPart::kSharedLookUp && !with_shared_look_up) continue;
    const std::string text = EmitCuda(program, part);
    absl::StatusOr<Module> loaded = part == CudaPart::kProgram
                                        ? LoadPart(layout, part, text)
                                        : LoadLookUp(layout, part, text);
    if (!loaded.ok()) return loaded.status();
    parts.push_back(*std::move(loaded));
  }
  return std::make_shared<CudaProgram>(context_, program, std::move(parts));
}

absl::StatusOr<ProgramLoader::Module> ProgramLoader::LoadPart(
    const LaunchLayout& layout, CudaPart part, const std::string& text) {
  Module module;
  absl::Status status = builder_->Build(text, [&](const SassPack::Code& code) {
    absl::StatusOr<Module> loaded =
        CudaModule::Load(context_, layout, part, code.cubin);
    if (!loaded.ok()) return loaded.status();
    module = *std::move(loaded);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return module;
}

absl::StatusOr<ProgramLoader::Module> ProgramLoader::LoadLookUp(
    const LaunchLayout& layout, CudaPart part, const std::string& text) {
  absl::MutexLock lock(&mutex_);
  Module& known = look_ups_[Sha256Id(text)];
  if (known == nullptr) {
    absl::StatusOr<Module> loaded = LoadPart(layout, part, text);
    if (!loaded.ok()) return loaded.status();
    known = *std::move(loaded);
  }
  return known;
}

}  // namespace actserve
