#include "kernels/device/cuda/testing/fake_driver.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace actserve::testing {
namespace {

template <typename Function>
void Find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  if (function == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::abort();
  }
}

}  // namespace

std::string FakeDriver::Path() {
  const char* const moved = std::getenv("ACTSERVE_FAKE_DRIVER");
  return moved != nullptr ? moved : ACTSERVE_FAKE_DRIVER;
}

std::string FakeDriver::WhyNoKernels() {
  if (access(ACTSERVE_FAKE_COMPILER, X_OK) == 0) return "";
  return "no compiler at " ACTSERVE_FAKE_COMPILER;
}

FakeDriver::FakeDriver() {
  void* const library = dlopen(Path().c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::abort();
  }
  Find(library, "fake_cuda_reset", reset_);
  Find(library, "fake_cuda_set", set_);
  Find(library, "fake_cuda_get", get_);
  Reset();
}

FakeDriver::~FakeDriver() { Reset(); }

void FakeDriver::Reset() { reset_(); }

void FakeDriver::Set(FakeKnob knob, int64_t value) {
  set_(static_cast<int>(knob), value);
}

int64_t FakeDriver::Get(FakeKnob knob) const {
  return get_(static_cast<int>(knob));
}

}  // namespace actserve::testing
