// A generated text that was compiled as C++, as the module that the fake driver
// loads and launches.

#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_TESTING_FAKE_MODULE_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_TESTING_FAKE_MODULE_H_

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>

#include "kernels/codegen/cuda/testing/host_blocks.h"

namespace actserve::testing {

// The C++ text to append to a generated one, so that FakeModule can call its
// kernels.
std::string HostKernelSuffix(const std::string& text);

// A shared object made of a generated text, loaded.
class FakeModule {
 public:
  // `image` is the whole file. nullptr if it does not load.
  static std::unique_ptr<FakeModule> Load(const void* image, size_t size_bytes);
  ~FakeModule();

  // nullptr if there is none.
  HostKernel Find(const std::string& name) const;

  // The size of the argument of every kernel.
  size_t argument_bytes() const { return argument_bytes_; }

  // Runs a grid. The kernels of a module run one at a time, for their place
  // and what they share are variables of the module.
  void Run(HostKernel kernel, unsigned grid, unsigned block,
           size_t shared_bytes, const void* argument);

 private:
  FakeModule(void* library, HostShim* shim, size_t argument_bytes)
      : library_(library), shim_(shim), argument_bytes_(argument_bytes) {}

  void* const library_;
  HostShim* const shim_;
  const size_t argument_bytes_;
  std::mutex mutex_;
};

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_TESTING_FAKE_MODULE_H_
