// Runs generated CUDA texts without a GPU: the same texts that NVRTC gets,
// compiled as C++ and loaded. How blocks and threads take turns is in
// host_blocks.h.

#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_HOST_SHIM_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_HOST_SHIM_H_

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/graph/lowered_program.h"

namespace actserve::testing {

// Programs, all parts of each, in one shared library. One launch at a time in
// the whole process.
class HostModule {
 public:
  // Compiles with the compiler of this build, in a directory of its own that
  // is removed again.
  //   Internal  the compiler refused a text; its messages went to stderr
  static absl::StatusOr<std::unique_ptr<HostModule>> Compile(
      const std::vector<LoweredProgram>& programs);
  ~HostModule();

  // Runs all blocks of `launch` of `entry` of program number `program`.
  // Addresses are this process's.
  void Launch(int program, KernelEntry entry, const PackedLaunch& launch) const;

 private:
  // The number of the text that has an entry of a program.
  using TextNumbers = std::map<std::pair<int, KernelEntry>, int>;

  HostModule(void* library, TextNumbers text_numbers)
      : library_(library), text_numbers_(std::move(text_numbers)) {}

  void* const library_;
  const TextNumbers text_numbers_;
};

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_HOST_SHIM_H_
