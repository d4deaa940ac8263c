// Reads what a compiled CUDA program says about itself: registers, stack, size.

#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_CUBIN_FACTS_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_CUBIN_FACTS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"

namespace actserve::testing {

// The facts of one kernel.
struct KernelFacts {
  int registers = 0;
  // Local memory of a thread. Our texts have no arrays that need any, so
  // whatever is here was spilled.
  int stack_bytes = 0;
  // Instructions of the entry, including subroutines that it calls.
  int instructions = 0;
};

// The entries of a cubin by name, from the ELF's own metadata: .nv.info
// (EIATTR_REGCOUNT, EIATTR_FRAME_SIZE) and the sizes of .text.<entry>, 16
// bytes an instruction since sm_70.
//   InvalidArgument  not a cubin
absl::StatusOr<std::map<std::string, KernelFacts>> ReadCubin(
    const std::string& cubin);

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_CUBIN_FACTS_H_
