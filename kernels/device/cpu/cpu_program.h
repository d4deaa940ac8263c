#ifndef ACTSERVE_KERNELS_DEVICE_CPU_CPU_PROGRAM_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_CPU_PROGRAM_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "kernels/base/lru_cache.h"
#include "kernels/device/cpu/compile/kernel_builder.h"
#include "kernels/device/device.h"

namespace actserve {

// All values of a 16-bit program of one input, for one set of parameters. For
// each output it holds the results (kRoundOnce16) or the derivatives
// (kDerivative16).
struct ProgramTable {
  std::vector<std::vector<uint16_t>> results;
  std::vector<float> derivatives;

  size_t size_bytes() const;
};

// The tables of one device. Beyond a budget the least recently used are
// dropped.
//
// Thread-safe.
class TableCache {
 public:
  explicit TableCache(int64_t max_size_bytes)
      : tables_(std::numeric_limits<size_t>::max(), max_size_bytes) {}

  // nullptr if there is none.
  std::shared_ptr<const ProgramTable> Find(const std::string& key);
  void Insert(const std::string& key,
              std::shared_ptr<const ProgramTable> table);

 private:
  absl::Mutex mutex_;
  LruCache<std::string, std::shared_ptr<const ProgramTable>> tables_
      ABSL_GUARDED_BY(mutex_);
};

// A program of the CPU device: a kernel, and rarer ones that are compiled when
// first needed.
class CpuProgram final : public Program {
 public:
  //   Internal  the compiler failed
  // and what `stop` returns.
  static absl::StatusOr<std::shared_ptr<CpuProgram>> Create(
      const LoweredProgram& lowered,
      const std::shared_ptr<KernelBuilder>& builder, const StopToken& stop);

  // The bytes of machine code of the plain kernel's object.
  size_t object_size_bytes() const { return plain_.object_size_bytes; }

  KernelFunction plain() const { return plain_.kernel->function(); }
  // The kernel that writes past the caches. Compiled on the first call. nullptr
  // for programs that gain nothing from it: those that wait for arithmetic
  // instead of memory, and 16-bit ones with tables. Use plain() then.
  KernelFunction non_temporal() const;

  // The same two for runs of elements that each read one element of every
  // tensor that broadcasts: those elements are further parameters, after the
  // program's. Compiled on the first call; nullptr also after an error. Only
  // for programs with such tensors.
  KernelFunction plain_of_runs() const;
  KernelFunction non_temporal_of_runs() const;

  int64_t ScratchBytes(const WorkItem& item) const override;

  // `parameters` are of the compute type.
  std::shared_ptr<const ProgramTable> MakeTable(const void* parameters) const;

  // Elements evaluated so far without a table.
  std::atomic<int64_t>& num_evaluated() const { return num_evaluated_; }

 private:
  CpuProgram(LoweredProgram lowered, KernelBuilder::Built plain)
      : Program(std::move(lowered)), plain_(std::move(plain)) {}

  const KernelBuilder::Built plain_;
  // nullptr where it would gain nothing.
  std::unique_ptr<LazyKernel> non_temporal_;
  // nullptr without tensors that broadcast.
  std::unique_ptr<LazyKernel> plain_of_runs_;
  std::unique_ptr<LazyKernel> non_temporal_of_runs_;
  mutable std::atomic<int64_t> num_evaluated_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_CPU_PROGRAM_H_
