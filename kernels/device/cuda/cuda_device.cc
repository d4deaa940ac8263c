#include "kernels/device/cuda/cuda_device.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"
#include "kernels/device/cuda/program/cuda_program.h"
#include "kernels/device/cuda/self_test.h"
#include "kernels/device/work_item.h"

namespace actserve {
namespace {

// Returns whether the driver takes code of the builder's pack.
absl::Status CheckPack(CudaContext& context, const SassBuilder& builder) {
  ACTSERVE_RETURN_IF_ERROR(context.Enter());
  return builder.CheckPack([&](const SassPack::Code& code) {
    CuModule module = nullptr;
    absl::Status loaded = context.Check(
        "cuModuleLoadData",
        context.cuda().ModuleLoadData(&module, code.cubin.data()));
    if (loaded.ok()) context.cuda().ModuleUnload(module);
    return loaded;
  });
}

}  // namespace

CudaDevice::CudaDevice(const Options& options,
                       std::shared_ptr<CudaContext> context,
                       std::unique_ptr<ProgramLoader> loader,
                       std::shared_ptr<DevicePool> pool,
                       std::unique_ptr<StagingRing> ring)
    : context_(std::move(context)),
      loader_(std::move(loader)),
      pool_(std::move(pool)),
      ring_(std::move(ring)),
      tables_(context_, pool_, options.max_table_bytes),
      resources_{context_.get(), pool_.get(), ring_.get(), &tables_,
                 options.shared_table_min_elements},
      max_chunk_bytes_(options.staging_bytes),
      programs_({.max_programs = options.max_programs,
                 .max_size_bytes = options.max_code_bytes}) {}

absl::StatusOr<std::unique_ptr<CudaDevice>> CudaDevice::Create(
    const Options& options) {
  if (options.max_programs < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_programs ", options.max_programs, ": want >= 1"));
  }
  if (options.staging_bytes < ChunkCutter::kMinRegionBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("staging_bytes ", options.staging_bytes,
                     ": want >= ", ChunkCutter::kMinRegionBytes));
  }

  ACTSERVE_ASSIGN_OR_RETURN(std::shared_ptr<const CudaDriver> driver,
                            CudaDriver::Open(options.driver));
  ACTSERVE_ASSIGN_OR_RETURN(
      std::shared_ptr<CudaContext> context,
      CudaContext::Create(
          driver, {.ordinal = options.ordinal, .watchdog = options.watchdog}));

  std::unique_ptr<ObjectCache> cache;
  if (!options.cache_directory.empty()) {
    ACTSERVE_ASSIGN_OR_RETURN(cache,
                              ObjectCache::Open(options.cache_directory,
                                                options.max_disk_cache_bytes));
  }
  ACTSERVE_ASSIGN_OR_RETURN(std::unique_ptr<SassBuilder> builder,
                            SassBuilder::Create({options.pack, std::move(cache),
                                                 Nvrtc::Open(options.nvrtc)},
                                                context->architecture()));
  if (builder->architecture() == 0) {
    ACTSERVE_RETURN_IF_ERROR(CheckPack(*context, *builder));
  }

  ACTSERVE_ASSIGN_OR_RETURN(
      std::shared_ptr<DevicePool> pool,
      DevicePool::Create(context, options.max_memory_bytes,
                         options.max_resident_bytes));
  ACTSERVE_ASSIGN_OR_RETURN(
      std::unique_ptr<StagingRing> ring,
      StagingRing::Create(context, options.num_staging_slots,
                          options.staging_bytes));
  auto loader = std::make_unique<ProgramLoader>(context, std::move(builder));
  std::unique_ptr<CudaDevice> device(new CudaDevice(
      options, context, std::move(loader), std::move(pool), std::move(ring)));
  if (options.self_test) ACTSERVE_RETURN_IF_ERROR(SelfTest(*device));
  if (options.heartbeat) {
    ACTSERVE_ASSIGN_OR_RETURN(device->heartbeat_, Heartbeat::Start(context));
  }
  return device;
}

std::string CudaDevice::description() const {
  return absl::StrCat(context_->description(), ", ",
                      loader_->builder().description());
}

absl::StatusOr<std::shared_ptr<const Program>> CudaDevice::Compile(
    const LoweredProgram& program, const StopToken& stop) {
  return programs_.FindOrCompile(
      program.program_id, [&]() -> absl::StatusOr<ProgramCache::Compiled> {
        // A chunk's outputs, of which there is one at least, fit a region.
        const int64_t max_launch_elements =
            max_chunk_bytes_ / ItemSizeBytes(program.storage);
        ACTSERVE_ASSIGN_OR_RETURN(
            std::shared_ptr<CudaProgram> loaded,
            loader_->Load(
                program,
                max_launch_elements >= resources_.shared_table_min_elements,
                stop));
        const int64_t size_bytes = loaded->size_bytes();
        return ProgramCache::Compiled{std::move(loaded), size_bytes};
      });
}

absl::Status CudaDevice::Run(const Program& program,
                             absl::Span<WorkItem> items) {
  ACTSERVE_RETURN_IF_ERROR(
      CheckItems(program.lowered(), /*has_memory=*/true, items));
  const auto& cuda_program = static_cast<const CudaProgram&>(program);
  const int64_t max_row_size = cuda_program.layout().max_row_size();
  for (const WorkItem& item : items) {
    if (item.rows.size > max_row_size) {
      return absl::InvalidArgumentError(absl::StrCat(
          "rows of ", item.rows.size, " elements, but a GPU sorts, scans and ",
          "shifts rows of ", max_row_size, " at most"));
    }
  }
  return PipelinedRun(resources_, cuda_program, items).Run();
}

}  // namespace actserve
