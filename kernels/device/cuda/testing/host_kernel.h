// Runs a kernel of a generated text that was compiled as C++: one thread of
// the grid after the other, and those that meet at a barrier as fibers.

#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_TESTING_HOST_KERNEL_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_TESTING_HOST_KERNEL_H_

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>

namespace actserve::testing {

// The variables that a text reads its place from: ActserveShim of
// kernels/codegen/cuda/text/prelude.h.
struct HostShim {
  unsigned thread_index;
  unsigned block_index;
  unsigned grid_size;
  void* shared;
  void (*barrier)();
};

// The C++ text to append to a generated one, so that HostModule can call its
// kernels.
std::string HostKernelSuffix(const std::string& text);

// A shared object made of a generated text, loaded.
class HostModule {
 public:
  // `image` is the whole file. nullptr if it does not load.
  static std::unique_ptr<HostModule> Load(const void* image, size_t size_bytes);
  ~HostModule();

  // nullptr if there is none.
  using Kernel = void (*)(const void* argument);
  Kernel Find(const std::string& name) const;

  // The size of the argument of every kernel.
  size_t argument_bytes() const { return argument_bytes_; }

  // Runs a grid. The kernels of a module run one at a time, for their place
  // and what they share are variables of the module.
  void Run(Kernel kernel, unsigned grid, unsigned block, size_t shared_bytes,
           const void* argument);

 private:
  HostModule(void* library, HostShim* shim, size_t argument_bytes)
      : library_(library), shim_(shim), argument_bytes_(argument_bytes) {}

  void* const library_;
  HostShim* const shim_;
  const size_t argument_bytes_;
  std::mutex mutex_;
};

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_TESTING_HOST_KERNEL_H_
