// The command that fills the cache of compiled programs.

#include <filesystem>
#include <iostream>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/array.h"
#include "client/cli/commands.h"
#include "client/cli/programs.h"
#include "kernels/catalog/catalog.h"
#include "kernels/codegen/cuda/nvrtc.h"
#include "kernels/device/cpu/cpu_device.h"
#include "kernels/device/cpu/cpu_program.h"
#include "kernels/device/cuda/sass_builder.h"
#include "kernels/device/object_cache.h"

namespace actserve {
namespace {

// The devices' own bound would evict what was compiled first.
constexpr int64_t kMaxCacheBytes = int64_t{16} << 30;

absl::StatusOr<std::vector<ActivationPtr>> ActivationsOf(
    const PrecompileFlags& flags) {
  std::vector<ActivationPtr> activations;
  if (flags.builtins) {
    for (const CatalogEntry& entry : Catalog()) {
      auto activation = CreateActivation(std::string(entry.text), {});
      if (!activation.ok()) return activation.status();
      activations.push_back(*std::move(activation));
    }
  }
  for (const std::string& file : flags.files) {
    TextFlags text = flags.text;
    text.file = file;
    auto activation = CreateActivation(text);
    if (!activation.ok()) return activation.status();
    activations.push_back(*std::move(activation));
  }
  return activations;
}

// One per architecture, over the same directory.
absl::StatusOr<std::vector<std::unique_ptr<SassBuilder>>> MakeBuilders(
    const std::vector<int>& architectures, const std::string& directory) {
  std::vector<std::unique_ptr<SassBuilder>> builders;
  for (const int architecture : architectures) {
    auto nvrtc = Nvrtc::Open();
    if (!nvrtc.ok()) return nvrtc.status();
    auto cache = ObjectCache::Open(directory, kMaxCacheBytes);
    if (!cache.ok()) return cache.status();
    auto builder =
        SassBuilder::Create(*std::move(nvrtc), architecture, *std::move(cache));
    if (!builder.ok()) return builder.status();
    builders.push_back(*std::move(builder));
  }
  return builders;
}

}  // namespace

absl::Status Precompile(const PrecompileFlags& flags) {
  if (flags.files.empty() && !flags.builtins) {
    return absl::InvalidArgumentError("nothing to compile: no files given");
  }
  if (!flags.text.derivative_file.empty() &&
      (flags.files.size() != 1 || flags.builtins)) {
    return absl::InvalidArgumentError("a derivative is for one file alone");
  }
  std::vector<DType> dtypes;
  for (const std::string& name : flags.dtypes) {
    const auto dtype = ParseDType(name);
    if (!dtype.ok()) return dtype.status();
    dtypes.push_back(static_cast<DType>(*dtype));
  }
  const std::string directory = flags.cache_directory.empty()
                                    ? ObjectCache::DefaultPath()
                                    : flags.cache_directory;
  if (directory.empty()) {
    return absl::FailedPreconditionError(
        "neither XDG_CACHE_HOME nor HOME says where the cache is");
  }
  const auto activations = ActivationsOf(flags);
  if (!activations.ok()) return activations.status();

  std::error_code ignored;  // what fails here fails again below
  std::filesystem::create_directories(
      std::filesystem::path(directory).parent_path(), ignored);
  const auto cpu = CpuDevice::Create(
      {.cache_dir = directory, .max_disk_cache_bytes = kMaxCacheBytes});
  if (!cpu.ok()) return cpu.status();
  const auto builders = MakeBuilders(flags.architectures, directory);
  if (!builders.ok()) return builders.status();

  const absl::Time start = absl::Now();
  int num_programs = 0;
  for (const ActivationPtr& activation : *activations) {
    for (const DType dtype : dtypes) {
      const auto programs = LowerForTrainers(*activation, dtype);
      if (!programs.ok()) return programs.status();
      for (const LoweredProgram& lowered : *programs) {
        const auto program = (*cpu)->Compile(lowered);
        if (!program.ok()) return program.status();
        static_cast<const CpuProgram&>(**program).non_temporal();
        for (const auto& builder : *builders) {
          const absl::Status status = builder->Build(
              lowered, [](const std::string&) { return absl::OkStatus(); });
          if (!status.ok()) return status;
        }
        ++num_programs;
      }
    }
  }
  std::cout << directory << ": " << num_programs << " programs of "
            << activations->size() << " activations for "
            << (*cpu)->description();
  for (const auto& builder : *builders) {
    std::cout << ", sm_" << builder->architecture();
  }
  std::cout << ", in " << absl::ToInt64Milliseconds(absl::Now() - start)
            << " ms\n";
  return absl::OkStatus();
}

}  // namespace actserve
