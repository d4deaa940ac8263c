// The grid of a generated text that was compiled as C++: one block after the
// other, the threads of each in turn. A thread that comes to a barrier is left
// as a fiber until all others have come there too; kernels without barriers
// need one fiber a block.

#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_HOST_BLOCKS_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_HOST_BLOCKS_H_

#include <cstddef>

namespace actserve::testing {

// Where a text reads its place from: ActserveShim of text/prelude.h.
struct HostShim {
  unsigned thread_index;
  unsigned block_index;
  unsigned grid_size;
  void* shared;
  void (*barrier)();
};

// A kernel, with its argument by address.
using HostKernel = void (*)(const void* argument);

// Runs all blocks. `shim` is the variable of the library that `kernel` is in,
// of whose kernels one may run at a time.
void RunHostBlocks(HostShim* shim, HostKernel kernel, const void* argument,
                   unsigned grid, unsigned block, size_t shared_bytes);

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_HOST_BLOCKS_H_
