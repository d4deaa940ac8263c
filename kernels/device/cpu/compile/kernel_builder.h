#ifndef ACTSERVE_KERNELS_DEVICE_CPU_COMPILE_KERNEL_BUILDER_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_COMPILE_KERNEL_BUILDER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "kernels/base/stop_token.h"
#include "kernels/codegen/llvm/kernel_compiler.h"
#include "kernels/device/cpu/compile/object_loader.h"
#include "kernels/device/device.h"
#include "kernels/device/object_cache.h"
#include "kernels/graph/lowered_program.h"

namespace actserve {

// Programs of a larger weight gain nothing from writing past the caches: a gelu
// is about where a core of today computes as long as it waits for memory.
inline constexpr int64_t kMaxNonTemporalWeight = 150;

// Turns a lowered program into a kernel that can be called. Loads it from the
// disk cache, or compiles it and stores it there.
//
// Thread-safe.
class KernelBuilder {
 public:
  // `cache` may be null.
  KernelBuilder(std::unique_ptr<KernelCompiler> compiler,
                std::unique_ptr<ObjectLoader> loader,
                std::unique_ptr<ObjectCache> cache)
      : compiler_(std::move(compiler)),
        loader_(std::move(loader)),
        cache_(std::move(cache)) {}

  struct Built {
    std::unique_ptr<LoadedKernel> kernel;
    size_t object_size_bytes = 0;
    bool from_disk = false;
  };

  //   Internal  LLVM refused what we generated (our bug)
  // and what `stop` returns.
  absl::StatusOr<Built> Build(const LoweredProgram& program,
                              KernelVariant variant, const StopToken& stop);

  // The name of the object on disk: a digest (64 hex digits) of the program's
  // graph and types, the variant and the compiler's fingerprint.
  std::string Key(const LoweredProgram& program, KernelVariant variant) const;

  const KernelCompiler& compiler() const { return *compiler_; }

  // Kernels that were built so far.
  CodeSources sources() const {
    return {.disk = num_from_disk_.load(), .compiled = num_compiled_.load()};
  }

 private:
  const std::unique_ptr<KernelCompiler> compiler_;
  const std::unique_ptr<ObjectLoader> loader_;
  const std::unique_ptr<ObjectCache> cache_;
  std::atomic<int64_t> num_from_disk_ = 0;
  std::atomic<int64_t> num_compiled_ = 0;
};

// A kernel that is built when first asked for.
//
// Thread-safe.
class LazyKernel {
 public:
  LazyKernel(LoweredProgram program, KernelVariant variant,
             std::shared_ptr<KernelBuilder> builder)
      : program_(std::move(program)),
        variant_(variant),
        builder_(std::move(builder)) {}

  // Builds it, or waits for another thread that does. After an error the next
  // call tries again.
  //   Internal  the compiler failed
  // and what `stop` returns.
  absl::StatusOr<KernelFunction> Get(const StopToken& stop);

  // The bytes of machine code of its object; 0 before it is built.
  size_t object_size_bytes() const { return object_size_bytes_; }

 private:
  const LoweredProgram program_;
  const KernelVariant variant_;
  const std::shared_ptr<KernelBuilder> builder_;
  std::atomic<KernelFunction> function_ = nullptr;
  std::atomic<size_t> object_size_bytes_ = 0;
  absl::Mutex mutex_;
  std::unique_ptr<LoadedKernel> kernel_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_COMPILE_KERNEL_BUILDER_H_
