#ifndef ACTSERVE_KERNELS_DEVICE_CPU_COMPILE_OBJECT_LOADER_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_COMPILE_OBJECT_LOADER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/codegen/llvm/kernel_compiler.h"

namespace actserve {

// A kernel in executable memory, which it frees.
class LoadedKernel {
 public:
  virtual ~LoadedKernel() = default;

  KernelFunction function() const { return function_; }

 protected:
  KernelFunction function_ = nullptr;
};

// Maps compiled objects into the process. An object may refer to memcpy,
// memmove and memset and to nothing else.
//
// Thread-safe. Kernels may outlive the loader.
class ObjectLoader {
 public:
  //   Internal  the process may not map executable memory
  static absl::StatusOr<std::unique_ptr<ObjectLoader>> Create();
  ~ObjectLoader();

  // `object` is what KernelCompiler::Compile() returned.
  //   Internal  it is not, or cannot be linked
  absl::StatusOr<std::unique_ptr<LoadedKernel>> Load(const std::string& object);

 private:
  class Session;
  class Kernel;
  explicit ObjectLoader(std::shared_ptr<Session> session);

  std::shared_ptr<Session> session_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_COMPILE_OBJECT_LOADER_H_
