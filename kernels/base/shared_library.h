// Opening the libraries of a GPU's maker, which a program does not link because
// most machines lack them.

#ifndef ACTSERVE_KERNELS_BASE_SHARED_LIBRARY_H_
#define ACTSERVE_KERNELS_BASE_SHARED_LIBRARY_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace actserve {

// An open library. It is never closed: threads that it started, and what it
// keeps for each of ours, outlive the last call into it.
struct SharedLibrary {
  void* handle = nullptr;  // of dlopen()
  // The file that was opened, even if only its name was asked for.
  std::string path;
};

// Opens `named` if that is not empty, else the value of the environment
// variable `variable` if that is not empty, else the first of `candidates` that
// opens. A name without a slash is looked for as the dynamic loader does.
//   NotFound  none opens. The message lists what was tried, with a reason for
//             every library that is there but does not open.
absl::StatusOr<SharedLibrary> OpenSharedLibrary(
    const std::string& named, const char* variable,
    const std::vector<std::string>& candidates);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_SHARED_LIBRARY_H_
