#ifndef ACTSERVE_KERNELS_DEVICE_CPU_ROWS_ROW_PROGRAM_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_ROWS_ROW_PROGRAM_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/base/stop_token.h"
#include "kernels/device/cpu/compile/kernel_builder.h"
#include "kernels/device/cpu/machine/thread_pool.h"
#include "kernels/device/cpu/rows/row_runner.h"
#include "kernels/device/device.h"
#include "kernels/graph/passes/row_stages.h"

namespace actserve {

// A program that reads rows: kernels that compute stages (row_stages.h), and
// between them reductions along summation.h. Create() compiles the kernels for
// long rows; those for short rows, and those that write past the caches, are
// compiled when first needed.
//
// Thread-safe.
class RowProgram final : public Program {
 public:
  // `num_threads` are those that will share a run.
  //   Internal  the compiler failed
  // and what `stop` returns.
  static absl::StatusOr<std::shared_ptr<RowProgram>> Create(
      const LoweredProgram& lowered, std::shared_ptr<KernelBuilder> builder,
      int num_threads, const StopToken& stop);

  // Computes one item that CheckItems() accepts. Rows, or parts of long ones,
  // are shared among `threads`; the bits do not depend on them.
  //   Internal  the compiler failed
  absl::Status Run(WorkItem& item, ThreadPool& threads,
                   const RowOptions& options) const;

  int64_t ScratchBytes(const WorkItem& item) const override;

  // The bytes of machine code of the objects that Create() made.
  size_t object_size_bytes() const { return object_size_bytes_; }

 private:
  RowProgram(LoweredProgram lowered, RowStages stages, int num_threads);
  void PlanSinks(RowStep& step) const;

  const RowStages stages_;
  const int num_threads_;
  // nullptr if there are none.
  std::unique_ptr<LazyKernel> draws_;
  std::vector<RowStep> steps_;
  size_t object_size_bytes_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_ROWS_ROW_PROGRAM_H_
