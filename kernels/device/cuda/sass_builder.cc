#include "kernels/device/cuda/sass_builder.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "kernels/codegen/cuda/emit.h"
#include "kernels/graph/sha256.h"

namespace actserve {

absl::StatusOr<std::unique_ptr<SassBuilder>> SassBuilder::Create(
    std::unique_ptr<Nvrtc> nvrtc, int device_architecture,
    std::unique_ptr<ObjectCache> cache) {
  // Code for 8.0 runs on 8.6 and 8.9, but not on 9.0.
  int best = 0;
  for (int architecture : nvrtc->architectures()) {
    if (architecture / 10 == device_architecture / 10 &&
        architecture <= device_architecture) {
      best = std::max(best, architecture);
    }
  }
  if (best == 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "NVRTC ", nvrtc->version(), " (", nvrtc->path(),
        ") compiles nothing that runs on sm_", device_architecture));
  }
  return std::unique_ptr<SassBuilder>(
      new SassBuilder(std::move(nvrtc), best, std::move(cache)));
}

std::string SassBuilder::Key(const std::string& text) const {
  const std::string id =
      Sha256Id(absl::StrCat("cuda ", nvrtc_->version(), " ", Nvrtc::options(),
                            " sm_", architecture_, "\n", text));
  return std::string(absl::StripPrefix(id, "sha256:"));
}

absl::Status SassBuilder::Build(
    const LoweredProgram& program,
    absl::FunctionRef<absl::Status(const std::string& cubin)> load) {
  const std::string text = EmitCuda(program);
  const std::string key = Key(text);
  if (cache_ != nullptr) {
    if (std::optional<std::string> cubin = cache_->Load(key)) {
      absl::Status loaded = load(*cubin);
      if (loaded.ok() || absl::IsUnavailable(loaded)) return loaded;
    }
  }
  absl::StatusOr<Nvrtc::Binary> binary = nvrtc_->Compile(text, architecture_);
  if (!binary.ok()) return binary.status();
  absl::Status loaded = load(binary->cubin);
  if (loaded.ok() && cache_ != nullptr) cache_->Store(key, binary->cubin);
  return loaded;
}

}  // namespace actserve
