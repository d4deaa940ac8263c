// Runs generated CUDA texts without a GPU: the very text that NVRTC is handed,
// compiled as C++ and loaded. How blocks and threads take turns is in
// host_blocks.h.

#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_HOST_SHIM_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_HOST_SHIM_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/codegen/cuda/launch.h"

namespace actserve::testing {

// Texts of EmitCuda() in one shared library. One launch at a time in the whole
// process.
class HostModule {
 public:
  // Compiles with the compiler of this build, in a directory of its own that
  // is removed again.
  //   Internal  the compiler refused a text; its messages went to stderr
  static absl::StatusOr<std::unique_ptr<HostModule>> Compile(
      const std::vector<std::string>& texts);
  ~HostModule();

  // Runs all blocks of `launch` of `entry` of text number `text`. Addresses are
  // this process's.
  void Launch(int text, KernelEntry entry, const PackedLaunch& launch) const;

 private:
  explicit HostModule(void* library) : library_(library) {}

  void* const library_;
};

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_TESTING_HOST_SHIM_H_
