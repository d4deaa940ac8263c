#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_SASS_BUILDER_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_SASS_BUILDER_H_

#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "kernels/codegen/cuda/nvrtc.h"
#include "kernels/device/object_cache.h"
#include "kernels/graph/lower.h"

namespace actserve {

// From a program to machine code for one architecture: from the disk if it is
// there and loads, from NVRTC otherwise.
//
// What NVRTC reads is our own text of the graph, never a user's; what it
// writes about it stays here.
//
// Thread-safe.
class SassBuilder {
 public:
  // Chooses among what `nvrtc` compiles for the newest that runs on a device
  // of `device_architecture`: itself, or an older one of its generation.
  // `cache` may be null.
  //   FailedPrecondition  there is none
  static absl::StatusOr<std::unique_ptr<SassBuilder>> Create(
      std::unique_ptr<Nvrtc> nvrtc, int device_architecture,
      std::unique_ptr<ObjectCache> cache);

  int architecture() const { return architecture_; }

  // Calls `load` with the code. What was on the disk and does not load is
  // compiled again; what was compiled and loads is stored.
  //   Internal  NVRTC failed (our bug)
  // and what `load` returned of code that was compiled just now.
  absl::Status Build(
      const LoweredProgram& program,
      absl::FunctionRef<absl::Status(const std::string& cubin)> load);

 private:
  SassBuilder(std::unique_ptr<Nvrtc> nvrtc, int architecture,
              std::unique_ptr<ObjectCache> cache)
      : nvrtc_(std::move(nvrtc)),
        architecture_(architecture),
        cache_(std::move(cache)) {}

  // Hex digits over everything that the code depends on.
  std::string Key(const std::string& text) const;

  const std::unique_ptr<Nvrtc> nvrtc_;
  const int architecture_;
  const std::unique_ptr<ObjectCache> cache_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_SASS_BUILDER_H_
