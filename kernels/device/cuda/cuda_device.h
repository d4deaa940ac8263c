#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_CUDA_DEVICE_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_CUDA_DEVICE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/device/cuda/driver/cuda_context.h"
#include "kernels/device/cuda/driver/heartbeat.h"
#include "kernels/device/cuda/program/program_loader.h"
#include "kernels/device/cuda/program/sass_pack.h"
#include "kernels/device/cuda/run/device_pool.h"
#include "kernels/device/cuda/run/device_tables.h"
#include "kernels/device/cuda/run/ipc_memory.h"
#include "kernels/device/cuda/run/pipelined_run.h"
#include "kernels/device/cuda/run/staging.h"
#include "kernels/device/device.h"
#include "kernels/device/program_cache.h"

namespace actserve {

// An NVIDIA GPU. Programs are precompiled or compiled by NVRTC, tensors are
// copied through pinned memory, and the items of a Run() share copies and
// launches where they fit. Results depend only on the program and the item, bit
// for bit.
//
// Needs nothing of CUDA to build; the driver and NVRTC are opened by Create().
//
// Thread-safe. A few concurrent Run()s overlap the copies of one with the
// copies and kernels of the others.
class CudaDevice final : public Device {
 public:
  struct Options {
    int ordinal = 0;
    // Libraries to open, see CudaDriver::Open() and Nvrtc::Open().
    std::string driver = "";
    std::string nvrtc = "";
    // Precompiled programs, which need no NVRTC; null: none.
    std::shared_ptr<const SassPack> pack = nullptr;
    // Directory that keeps compiled programs across restarts, see ObjectCache.
    // Empty: none.
    std::string cache_directory = "";
    int64_t max_disk_cache_bytes = int64_t{256} << 20;
    // Limits on the programs kept loaded. A program that a caller still holds
    // stays valid but is not counted.
    int max_programs = 1024;
    int64_t max_code_bytes = int64_t{128} << 20;
    // Limit on the tables of 16-bit functions: 128 KiB each, 256 KiB for
    // gradients.
    int64_t max_table_bytes = int64_t{64} << 20;
    // Limit on device memory for tensors and tables. 0: nine tenths of the free
    // memory.
    int64_t max_memory_bytes = 0;
    // The share of it that resident tensors may take. -1: half.
    int64_t max_resident_bytes = -1;
    // Each slot pins twice this much of the host's memory. Smaller slots
    // overlap more stages of one tensor; larger ones need fewer launches.
    int num_staging_slots = 16;
    int64_t staging_bytes = int64_t{2} << 20;
    // How long work may run before its kernel counts as hung and the device as
    // lost.
    absl::Duration watchdog = absl::Seconds(10);
    int64_t shared_table_min_elements = kSharedTableMinElements;
    // True to run kernels with known results before the device is given out.
    bool self_test = true;
    // True to ask an idle device whether it still answers, see Heartbeat.
    bool heartbeat = true;
  };

  //   Unimplemented       no driver here
  //   FailedPrecondition  driver or device too old; neither an NVRTC that
  //                       compiles for the device nor a pack with code that the
  //                       driver takes; an unsafe cache directory
  //   NotFound            the driver finds no device
  //   InvalidArgument     an option out of range, the ordinal among them
  //   ResourceExhausted   so much memory cannot be pinned
  //   Internal            the driver refused, or the self-test failed
  //   Unavailable         the device was lost in the self-test
  static absl::StatusOr<std::unique_ptr<CudaDevice>> Create(
      const Options& options);
  // No call may be in progress.
  ~CudaDevice() override = default;

  std::string name() const override { return context_->name(); }
  // Describes the device and what it can compile.
  std::string description() const override;
  using Device::Compile;
  absl::StatusOr<std::shared_ptr<const Program>> Compile(
      const LoweredProgram& program, const StopToken& stop) override;
  absl::Status Run(const Program& program, absl::Span<WorkItem> items) override;

  // `handle`: of cuIpcGetMemHandle().
  absl::StatusOr<std::shared_ptr<const SharedDeviceMemory>> OpenMemory(
      absl::string_view uuid, absl::string_view handle) override {
    return OpenIpcMemory(context_, uuid, handle);
  }

  absl::Status health() const override { return context_->health(); }
  void OnLost(LostCallback lost) override { context_->OnLost(std::move(lost)); }
  int64_t num_launches() const override { return context_->num_launches(); }
  CodeSources code_sources() const override {
    return loader_->builder().code_sources();
  }

  // Device memory in use: tables, resident tensors, and tensors of running
  // work.
  int64_t used_memory_bytes() const override { return pool_->used_bytes(); }
  int64_t resident_bytes() const { return pool_->resident_bytes(); }

 private:
  CudaDevice(const Options& options, std::shared_ptr<CudaContext> context,
             std::unique_ptr<ProgramLoader> loader,
             std::shared_ptr<DevicePool> pool,
             std::unique_ptr<StagingRing> ring);

  const std::shared_ptr<CudaContext> context_;
  const std::unique_ptr<ProgramLoader> loader_;
  const std::shared_ptr<DevicePool> pool_;
  const std::unique_ptr<StagingRing> ring_;
  DeviceTables tables_;
  const RunResources resources_;
  // Size of a chunk, in bytes.
  const int64_t max_chunk_bytes_;
  ProgramCache programs_;
  std::unique_ptr<Heartbeat> heartbeat_;  // may be null
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_CUDA_DEVICE_H_
