// Limits that compiled programs must keep, and the cost of an element.

#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_SASS_CHECKS_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_SASS_CHECKS_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/codegen/cuda/nvrtc.h"
#include "kernels/codegen/cuda/testing/cubin_facts.h"
#include "kernels/graph/lowered_program.h"

namespace actserve::testing {

// Compiles all parts of the program. On an error the status contains the
// compiler's log; never send it to a client.
absl::StatusOr<std::map<std::string, KernelFacts>> CompileFacts(
    const Nvrtc& nvrtc, const LoweredProgram& program, int architecture);

// "" if every entry of launch.h is there, none spills, and each keeps to
// LaunchLayout::max_registers(); else what is wrong.
std::string Violation(const LoweredProgram& program,
                      const std::map<std::string, KernelFacts>& facts);

// Instructions for one element in a whole tile of the entry, by the growth of
// the code from one vector (row, if the program has sums) a thread to four.
// Counts what is there, whether or not a given element executes it.
struct InstructionCount {
  double ptx = 0;
  double sass = 0;
};
absl::StatusOr<InstructionCount> CountInstructions(
    const Nvrtc& nvrtc, const LoweredProgram& program, KernelEntry counted,
    int architecture);

// Instructions that an H100 can issue while its memory moves the tensors of
// one element: 132 multiprocessors, 128 lanes, 1.755 GHz, 3.0 TB/s.
double IssueBudget(const LoweredProgram& program);

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_SASS_CHECKS_H_
