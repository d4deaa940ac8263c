#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_PROGRAM_LOADER_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_PROGRAM_LOADER_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "kernels/base/stop_token.h"
#include "kernels/device/cuda/driver/cuda_context.h"
#include "kernels/device/cuda/program/cuda_module.h"
#include "kernels/device/cuda/program/cuda_program.h"
#include "kernels/device/cuda/program/sass_builder.h"
#include "kernels/graph/lowered_program.h"

namespace actserve {

// Loads programs on a device, part by part. Keeps all parts but
// CudaPart::kProgram, because programs share them: a new 16-bit function costs
// the compiler only its own arithmetic.
//
// Thread-safe.
class ProgramLoader {
 public:
  ProgramLoader(std::shared_ptr<CudaContext> context,
                std::unique_ptr<SassBuilder> builder)
      : context_(std::move(context)), builder_(std::move(builder)) {}

  const SassBuilder& builder() const { return *builder_; }

  // CudaPart::kSharedLookUp only if `with_shared_look_up`.
  //   FailedPrecondition, Internal, ResourceExhausted, Unavailable
  // as SassBuilder::Build() and CudaModule::Load(), and what `stop`, which is
  // asked before each part, returns.
  absl::StatusOr<std::shared_ptr<CudaProgram>> Load(
      const LoweredProgram& program, bool with_shared_look_up,
      const StopToken& stop = {});

 private:
  using Module = std::shared_ptr<const CudaModule>;

  absl::StatusOr<Module> LoadPart(const LaunchLayout& layout, CudaPart part,
                                  const std::string& text);
  absl::StatusOr<Module> LoadShared(const LaunchLayout& layout, CudaPart part,
                                    const std::string& text);

  const std::shared_ptr<CudaContext> context_;
  const std::unique_ptr<SassBuilder> builder_;
  // Held while a part is compiled: there are few, and waiting threads want the
  // same one.
  absl::Mutex mutex_;
  // Key: the digest of the text.
  absl::flat_hash_map<std::string, Module> shared_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_PROGRAM_PROGRAM_LOADER_H_
