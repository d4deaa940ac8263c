#ifndef ACTSERVE_SERVER_STATE_MEMORY_TRIMMER_H_
#define ACTSERVE_SERVER_STATE_MEMORY_TRIMMER_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "server/state/buffer_pool.h"
#include "server/state/memory_budget.h"

namespace actserve {

// Gives memory back to the system that a burst of calls has left. The process
// keeps what it frees, because taking it anew costs a page fault for each 4 KiB
// (see SetProcessOptions()); this keeps only as much as calls held at once
// during the last kTicks ticks, less what they hold now.
//
// Not thread-safe.
class MemoryTrimmer {
 public:
  static constexpr size_t kTicks = 10;
  // What is not worth a pass over the heap, during which nobody can allocate.
  static constexpr int64_t kSlackBytes = int64_t{64} << 20;

  // Both must outlive this object.
  MemoryTrimmer(MemoryBudget* budget, BufferPool* buffers)
      : budget_(*budget), buffers_(*buffers) {}

  // Call it about once a second.
  void Tick();

 private:
  MemoryBudget& budget_;
  BufferPool& buffers_;
  // The most that calls held during each of the last ticks, by half.
  std::array<std::array<int64_t, kTicks>, 2> peaks_ = {};
  size_t tick_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_STATE_MEMORY_TRIMMER_H_
