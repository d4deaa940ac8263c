#ifndef ACTSERVE_KERNELS_DEVICE_CPU_ROWS_ROW_DRAWS_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_ROWS_ROW_DRAWS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/device/cpu/compile/kernel_builder.h"
#include "kernels/device/cpu/machine/thread_pool.h"
#include "kernels/device/device.h"
#include "kernels/graph/graph.h"

namespace actserve {

// The random numbers of an item whose program reads rows: RowStages::draws.
// Thread-safe.
class RowDraws {
 public:
  // `kernel` computes `draws` in a type of `number_bytes`, of which
  // `parameters` are. They must outlive this object.
  RowDraws(const Graph& draws, KernelFunction kernel, const WorkItem& item,
           const void* parameters, int64_t number_bytes);

  // Writes the numbers of `num_rows` rows, row by row: those of output i of the
  // graph to to[i]. The rows begin at neighbouring elements, the first at
  // element `first` of the item; without a stride they follow one another.
  // Shares the work among `threads`, if it is not nullptr and the elements do
  // not lie apart.
  void Fill(int64_t first, int64_t num_rows, absl::Span<void* const> to,
            ThreadPool* threads) const;

 private:
  // Of the elements from `first` on, to the places from `at` on.
  void Draw(int64_t first, int64_t count, absl::Span<void* const> to,
            int64_t at) const;
  void FillStrided(int64_t first, int64_t num_rows,
                   absl::Span<void* const> to) const;

  const KernelFunction kernel_;
  const Rows rows_;
  const void* const parameters_;
  const int64_t number_bytes_;
  // DrawWords() of the item's first element.
  const std::vector<uint64_t> words_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_ROWS_ROW_DRAWS_H_
