// The command that precompiles texts: into the cache on disk, or a pack.

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/cli/array.h"
#include "client/cli/commands.h"
#include "client/cli/programs.h"
#include "kernels/catalog/catalog.h"
#include "kernels/codegen/cuda/emit.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/codegen/cuda/nvrtc.h"
#include "kernels/device/cpu/cpu_device.h"
#include "kernels/device/cpu/cpu_program.h"
#include "kernels/device/cuda/program/sass_builder.h"
#include "kernels/device/cuda/program/sass_pack.h"
#include "kernels/device/cuda/program/self_test_programs.h"
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

// One per architecture, over the same directory; none if that is empty.
absl::StatusOr<std::vector<std::unique_ptr<SassBuilder>>> MakeBuilders(
    const std::vector<int>& architectures, const std::string& directory) {
  std::vector<std::unique_ptr<SassBuilder>> builders;
  for (const int architecture : architectures) {
    SassBuilder::Sources sources = {nullptr, nullptr, Nvrtc::Open()};
    if (!sources.nvrtc.ok()) return sources.nvrtc.status();
    if (!directory.empty()) {
      auto cache = ObjectCache::Open(directory, kMaxCacheBytes);
      if (!cache.ok()) return cache.status();
      sources.cache = *std::move(cache);
    }
    auto builder = SassBuilder::Create(std::move(sources), architecture);
    if (!builder.ok()) return builder.status();
    builders.push_back(*std::move(builder));
  }
  return builders;
}

absl::StatusOr<std::vector<LoweredProgram>> ProgramsOf(
    const std::vector<ActivationPtr>& activations,
    const std::vector<std::string>& dtypes) {
  std::vector<LoweredProgram> all;
  for (const std::string& name : dtypes) {
    const auto dtype = ParseDType(name);
    if (!dtype.ok()) return dtype.status();
    for (const ActivationPtr& activation : activations) {
      auto programs = LowerForTrainers(*activation, static_cast<DType>(*dtype));
      if (!programs.ok()) return programs.status();
      for (LoweredProgram& program : *programs) {
        all.push_back(std::move(program));
      }
    }
  }
  return all;
}

// Calls `work` with each number below `count`, on all processors, until one
// fails.
absl::Status ForEach(size_t count,
                     absl::FunctionRef<absl::Status(size_t)> work) {
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  absl::Status status;
  std::vector<std::thread> threads(
      std::max(1u, std::thread::hardware_concurrency()));
  for (std::thread& thread : threads) {
    thread = std::thread([&] {
      for (size_t i = next++; i < count; i = next++) {
        const absl::Status done = work(i);
        if (done.ok()) continue;
        const std::lock_guard lock(mutex);
        status.Update(done);
        next = count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return status;
}

// The targets of one command. No processor if it writes a pack.
struct Targets {
  std::unique_ptr<CpuDevice> cpu;
  std::vector<std::unique_ptr<SassBuilder>> gpus;
};

absl::StatusOr<Targets> MakeTargets(const PrecompileFlags& flags,
                                    const std::string& directory) {
  std::error_code ignored;  // what fails here fails again below
  for (const std::string& path : {directory, flags.pack}) {
    std::filesystem::create_directories(
        std::filesystem::path(path).parent_path(), ignored);
  }
  Targets targets;
  if (flags.pack.empty()) {
    auto cpu = CpuDevice::Create(
        {.cache_directory = directory, .max_disk_cache_bytes = kMaxCacheBytes});
    if (!cpu.ok()) return cpu.status();
    targets.cpu = *std::move(cpu);
  }
  auto gpus = MakeBuilders(flags.architectures, directory);
  if (!gpus.ok()) return gpus.status();
  targets.gpus = *std::move(gpus);
  return targets;
}

absl::Status CompileForCpu(CpuDevice& device, const LoweredProgram& lowered) {
  const auto program = device.Compile(lowered);
  if (!program.ok()) return program.status();
  // One that reads rows is complete.
  if (const auto* cpu = dynamic_cast<const CpuProgram*>(program->get())) {
    cpu->non_temporal();
  }
  return absl::OkStatus();
}

// Everything, into the cache; what is for GPUs, into `codes` too. The programs
// of a GPU's self-test are among it.
absl::Status CompileAll(const std::vector<LoweredProgram>& programs,
                        const Targets& targets,
                        std::vector<SassPack::Code>& codes) {
  if (targets.cpu != nullptr) {
    const absl::Status status = ForEach(programs.size(), [&](size_t i) {
      return CompileForCpu(*targets.cpu, programs[i]);
    });
    if (!status.ok()) return status;
  }
  if (targets.gpus.empty()) return absl::OkStatus();
  // Programs share some of their parts.
  const std::vector<LoweredProgram> self_test = SelfTestPrograms();
  std::set<std::string> unique;
  for (const auto& some : {&programs, &self_test}) {
    for (const LoweredProgram& program : *some) {
      for (const CudaPart part : LaunchLayout(program).parts()) {
        unique.insert(EmitCuda(program, part));
      }
    }
  }
  const std::vector<std::string> texts(unique.begin(), unique.end());
  std::mutex mutex;
  const auto keep = [&](const SassPack::Code& code) {
    const std::lock_guard lock(mutex);
    codes.push_back(code);
    return absl::OkStatus();
  };
  return ForEach(texts.size() * targets.gpus.size(), [&](size_t i) {
    return targets.gpus[i / texts.size()]->Build(texts[i % texts.size()], keep);
  });
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
  const bool is_pack = !flags.pack.empty();
  if (is_pack && flags.architectures.empty()) {
    return absl::InvalidArgumentError(
        "a pack is for GPUs: which, is --arch to say");
  }
  std::string directory = flags.cache_directory;
  if (directory.empty() && !is_pack) directory = ObjectCache::DefaultPath();
  if (directory.empty() && !is_pack) {
    return absl::FailedPreconditionError(
        "neither XDG_CACHE_HOME nor HOME says where the cache is");
  }
  const auto activations = ActivationsOf(flags);
  if (!activations.ok()) return activations.status();
  const absl::Time start = absl::Now();
  const auto programs = ProgramsOf(*activations, flags.dtypes);
  if (!programs.ok()) return programs.status();
  const auto targets = MakeTargets(flags, directory);
  if (!targets.ok()) return targets.status();

  std::vector<SassPack::Code> codes;
  absl::Status status = CompileAll(*programs, *targets, codes);
  if (status.ok() && is_pack) {
    status = SassPack::Write(flags.pack, targets->gpus[0]->nvrtc_version(),
                             std::move(codes));
  }
  if (!status.ok()) return status;
  std::cout << (is_pack ? flags.pack : directory) << ": " << programs->size()
            << " programs of " << activations->size() << " activations for ";
  std::vector<std::string> names;
  if (targets->cpu != nullptr) names.push_back(targets->cpu->description());
  for (const auto& gpu : targets->gpus) {
    names.push_back(absl::StrCat("sm_", gpu->architecture()));
  }
  std::cout << absl::StrJoin(names, ", ") << ", in "
            << absl::ToInt64Milliseconds(absl::Now() - start) << " ms\n";
  return absl::OkStatus();
}

}  // namespace actserve
