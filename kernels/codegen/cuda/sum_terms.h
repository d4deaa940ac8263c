// Plans how terms that lie in device memory become sums, along broadcast.h and
// summation.h: the launches of CudaPart::kTermSums, one after the other. Bits
// do not depend on how many blocks and threads there are.

#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_SUM_TERMS_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_SUM_TERMS_H_

#include <cstdint>
#include <vector>

#include "kernels/codegen/cuda/launch.h"
#include "kernels/graph/broadcast.h"

namespace actserve {

// One launch: `outer` blocks of `rows` rows of `width` numbers. Of each block
// and column some rows become one number.
struct SumStep {
  // kSumRuns   tiles of summation.h; `width` is 1
  // kSumRows   groups of kSumGroup rows
  // kFoldSums  groups of 16 rows, four levels of the tree
  KernelEntry entry;
  int64_t outer;
  int64_t rows;
  int64_t width;

  int64_t num_results() const;
};

// The steps that sum one term for each of shape.num_read() elements, of which
// there are some. The first reads the terms, each of the others the results of
// the one before; the results of the last are the sums.
std::vector<SumStep> SumSteps(const Broadcast& shape);

// Bytes for what the steps leave for each other.
int64_t SumScratchBytes(const Broadcast& shape);

// Launches that read terms of the compute type and write one float64 for each
// of shape.num_elements(). All addresses are aligned to 8 bytes, but for that
// of float32 terms. Not for shapes without elements.
std::vector<PackedLaunch> PackSums(const LaunchLayout& layout,
                                   const Broadcast& shape, DeviceAddress terms,
                                   DeviceAddress scratch, DeviceAddress sums);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_SUM_TERMS_H_
