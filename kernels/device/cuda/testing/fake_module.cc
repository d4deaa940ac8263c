#include "kernels/device/cuda/testing/fake_module.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>

namespace actserve::testing {
namespace {

constexpr char kCallPrefix[] = "host_call_";

}  // namespace

std::string HostKernelSuffix(const std::string& text) {
  std::string suffix =
      "\nActserveShim actserve_shim;\n"
      "extern \"C\" { extern const unsigned long host_argument_bytes = "
      "sizeof(Argument); }\n";
  for (const char* name :
       {"actserve_run", "actserve_finish_sums", "actserve_fill_table",
        "actserve_run_shared", "actserve_rows_of_few", "actserve_rows_of_some",
        "actserve_rows", "actserve_row_tiles", "actserve_finish_rows",
        "actserve_sum_terms", "actserve_sum_runs", "actserve_sum_rows",
        "actserve_fold_sums"}) {
    if (text.find(std::string(name) + "(") == std::string::npos) continue;
    suffix += std::string("extern \"C\" void ") + kCallPrefix + name +
              "(const void* argument) {\n  " + name +
              "(*static_cast<const Argument*>(argument));\n}\n";
  }
  return suffix;
}

std::unique_ptr<FakeModule> FakeModule::Load(const void* image,
                                             size_t size_bytes) {
  // Under a name of its own: dlopen() takes equal names for the same file.
  std::string path = "/tmp/host_kernel_XXXXXX";
  const int file = mkstemp(path.data());
  if (file < 0) return nullptr;
  const bool written =
      write(file, image, size_bytes) == static_cast<ssize_t>(size_bytes);
  close(file);
  void* const library =
      written ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  unlink(path.c_str());
  if (library == nullptr) return nullptr;
  auto* const shim = static_cast<HostShim*>(dlsym(library, "actserve_shim"));
  const auto* const argument_bytes =
      static_cast<const unsigned long*>(dlsym(library, "host_argument_bytes"));
  if (shim == nullptr || argument_bytes == nullptr) {
    dlclose(library);
    return nullptr;
  }
  return std::unique_ptr<FakeModule>(
      new FakeModule(library, shim, *argument_bytes));
}

FakeModule::~FakeModule() { dlclose(library_); }

HostKernel FakeModule::Find(const std::string& name) const {
  return reinterpret_cast<HostKernel>(
      dlsym(library_, (kCallPrefix + name).c_str()));
}

void FakeModule::Run(HostKernel kernel, unsigned grid, unsigned block,
                     size_t shared_bytes, const void* argument) {
  std::lock_guard lock(mutex_);
  RunHostBlocks(shim_, kernel, argument, grid, block, shared_bytes);
}

}  // namespace actserve::testing
