#ifndef ACTSERVE_KERNELS_DEVICE_CPU_ROWS_ROW_RUNNER_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_ROWS_ROW_RUNNER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/device/cpu/compile/kernel_builder.h"
#include "kernels/device/cpu/machine/thread_pool.h"
#include "kernels/device/device.h"
#include "kernels/graph/lowered_program.h"
#include "kernels/graph/passes/row_stages.h"

namespace actserve {

// A stage as it runs.
struct RowStep {
  const RowStage* stage = nullptr;
  // nullptr if there is nothing to compute.
  std::unique_ptr<LazyKernel> rows;
  struct Elements {
    std::unique_ptr<LazyKernel> plain;
    // nullptr also if it gains nothing.
    std::unique_ptr<LazyKernel> non_temporal;
  };
  // Numbers of the row are one for each row, or one for each element.
  Elements elements_by_row;
  Elements elements_of_short;
  // The sinks that the kernels of the elements write, one for each output.
  std::vector<int> written;
  // What is reduced over the row, and where its terms lie.
  struct Reduction {
    enum class From { kTensor, kKept, kScratch };
    Op op;
    int number;
    From from;
    int index;  // of the tensor, the kept array, or in `written`
  };
  std::vector<Reduction> reductions;
};

// See CpuDevice::Options.
struct RowOptions {
  int64_t min_elements_per_task;
  int64_t non_temporal_threshold_bytes;
};

// Computes one item, which has elements and fits the program. A long row goes
// through the stages alone; of others a block does. Kernels read the numbers of
// a row once, but those of short rows for each element. Rows, or parts of long
// ones, are shared among `threads`; the bits do not depend on them. `draws`
// computes stages.draws; nullptr if there are none. Thread-safe.
//   Internal  the compiler failed
absl::Status RunRows(const LoweredProgram& program, const RowStages& stages,
                     LazyKernel* draws, absl::Span<const RowStep> steps,
                     ThreadPool& threads, const RowOptions& options,
                     WorkItem& item);

// About the memory that this takes beside the tensors, with so many threads,
// but for some buffers of kSumTileElements.
int64_t RowScratchBytes(const LoweredProgram& program, const RowStages& stages,
                        int num_threads, const WorkItem& item);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_ROWS_ROW_RUNNER_H_
