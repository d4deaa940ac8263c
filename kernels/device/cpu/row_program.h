#ifndef ACTSERVE_KERNELS_DEVICE_CPU_ROW_PROGRAM_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_ROW_PROGRAM_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/base/stop_token.h"
#include "kernels/device/cpu/kernel_builder.h"
#include "kernels/device/cpu/thread_pool.h"
#include "kernels/device/device.h"
#include "kernels/graph/passes/row_stages.h"

namespace actserve {

// A program that reads rows: kernels that compute stages (row_stages.h), and
// between them reductions along summation.h. A long row goes through the stages
// alone, its numbers as parameters of the kernels; of short rows a block does,
// with their numbers in arrays.
//
// Thread-safe.
class RowProgram final : public Program {
 public:
  //   Internal  the compiler failed
  // and what `stop` returns.
  static absl::StatusOr<std::shared_ptr<RowProgram>> Create(
      const LoweredProgram& lowered, KernelBuilder& builder,
      const StopToken& stop);

  // Computes one item that CheckItems() accepts. Rows, or parts of long ones,
  // are shared among `threads`; the bits do not depend on them.
  void Run(WorkItem& item, ThreadPool& threads,
           int64_t min_elements_per_task) const;

  int64_t ScratchBytes(const WorkItem& item) const override;

  // The bytes of machine code of its objects.
  size_t object_size_bytes() const { return object_size_bytes_; }

 private:
  // A stage as it runs.
  struct Step {
    const RowStage* stage = nullptr;
    // nullptr if there is nothing to compute.
    std::unique_ptr<LoadedKernel> rows;
    std::unique_ptr<LoadedKernel> elements_of_long;
    std::unique_ptr<LoadedKernel> elements_of_short;
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
  template <typename T>
  class Runner;

  RowProgram(LoweredProgram lowered, RowStages stages);
  void PlanSinks(Step& step) const;

  const RowStages stages_;
  std::vector<Step> steps_;
  size_t object_size_bytes_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_ROW_PROGRAM_H_
