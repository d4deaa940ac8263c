#ifndef ACTSERVE_KERNELS_DEVICE_CPU_CPU_DEVICE_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_CPU_DEVICE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "kernels/device/cpu/compile/kernel_builder.h"
#include "kernels/device/cpu/cpu_program.h"
#include "kernels/device/cpu/machine/thread_pool.h"
#include "kernels/device/device.h"
#include "kernels/device/program_cache.h"

namespace actserve {

// The processor that we run on. LLVM compiles programs, and threads share the
// elements of large tensors. Results depend only on the program and the item,
// bit for bit: not on threads, alignment, fragments, tables or the kind of
// stores.
//
// Thread-safe.
class CpuDevice final : public Device {
 public:
  struct Options {
    // Threads that one Run() may use, the caller's included. 0: all.
    int num_threads = 0;
    // How long they stay awake after a loop.
    absl::Duration spin = absl::ZeroDuration();
    // Directory that keeps compiled objects across restarts, see ObjectCache.
    // Empty: none.
    std::string cache_directory = "";
    int64_t max_disk_cache_bytes = int64_t{256} << 20;
    // Limits on the programs kept in memory. A program that a caller still
    // holds stays valid but is not counted.
    int max_programs = 1024;
    int64_t max_code_bytes = int64_t{128} << 20;
    // Limit on the tables of 16-bit functions: 128 KiB each, 256 KiB for
    // gradients.
    int64_t max_table_bytes = int64_t{32} << 20;
    // Outputs of at least this many bytes are written past the caches, because
    // they would not stay in them. 0: never; -1: by cache size.
    int64_t non_temporal_threshold_bytes = -1;
    // 16-bit items of at least this many elements use a table; smaller ones use
    // a table only if it exists.
    int64_t table_threshold_elements = int64_t{64} << 10;
    // The least work for another thread. A multiple of kSumTileElements. Waking
    // a thread costs as much as this many elements of a cheap function.
    int64_t min_elements_per_task = int64_t{512} << 10;
    // See KernelCompiler::Options.
    std::string cpu = "";
  };

  //   InvalidArgument     an option out of range
  //   FailedPrecondition  a processor without FMA; an unsafe cache directory
  static absl::StatusOr<std::unique_ptr<CpuDevice>> Create(
      const Options& options);

  std::string name() const override { return "cpu"; }
  std::string description() const override { return description_; }
  using Device::Compile;
  absl::StatusOr<std::shared_ptr<const Program>> Compile(
      const LoweredProgram& program, const StopToken& stop) override;
  absl::Status Run(const Program& program, absl::Span<WorkItem> items) override;
  CodeSources code_sources() const override { return builder_->sources(); }

 private:
  struct Plan;

  CpuDevice(const Options& options, std::shared_ptr<KernelBuilder> builder);

  void RunItems(const CpuProgram& program, absl::Span<WorkItem> items);
  void RunBroadcasts(const CpuProgram& program, WorkItem& item);
  Plan MakePlan(const CpuProgram& program, WorkItem& item);
  std::shared_ptr<const ProgramTable> TableFor(const CpuProgram& program,
                                               const Plan& plan);
  static void RunRange(Plan& plan, int64_t begin, int64_t end);

  const Options options_;
  const std::shared_ptr<KernelBuilder> builder_;
  std::string description_;
  TableCache tables_;
  ProgramCache programs_;
  ThreadPool threads_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_CPU_DEVICE_H_
