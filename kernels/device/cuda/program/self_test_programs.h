#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_SELF_TEST_PROGRAMS_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_SELF_TEST_PROGRAMS_H_

#include <vector>

#include "kernels/graph/lowered_program.h"

namespace actserve {

// y = 1 - x in float32, and in bfloat16 as a table: what SelfTest() runs. Every
// pack has their code, so that a server without NVRTC can test itself.
std::vector<LoweredProgram> SelfTestPrograms();

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_SELF_TEST_PROGRAMS_H_
