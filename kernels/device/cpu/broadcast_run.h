#ifndef ACTSERVE_KERNELS_DEVICE_CPU_BROADCAST_RUN_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_BROADCAST_RUN_H_

#include <cstdint>

#include "kernels/device/cpu/cpu_program.h"
#include "kernels/device/cpu/machine/thread_pool.h"
#include "kernels/device/device.h"
#include "kernels/graph/lowered_program.h"

namespace actserve {

// How RunWithBroadcasts() shares work and writes.
struct BroadcastRunOptions {
  // The least work for another thread.
  int64_t min_elements_per_task = int64_t{512} << 10;
  // Write outputs past the caches.
  bool non_temporal = false;
};

// Computes one item of an element-wise program of Rule::kDirect; its inputs may
// broadcast, and inputs and outputs may be parts of tensors. Threads share it;
// the bits do not depend on them. Thread-safe.
void RunWithBroadcasts(const CpuProgram& program,
                       const BroadcastRunOptions& options, ThreadPool& threads,
                       WorkItem& item);

// About the memory that it takes beside the tensors, but for some buffers of a
// few thousand elements for each thread.
int64_t BroadcastScratchBytes(const LoweredProgram& program,
                              const WorkItem& item);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_BROADCAST_RUN_H_
