#include "kernels/base/shared_library.h"

#include <dlfcn.h>
#include <link.h>

#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace actserve {
namespace {

// The file of an open library.
std::string PathOf(void* handle, const std::string& name) {
  const link_map* map = nullptr;
  if (dlinfo(handle, RTLD_DI_LINKMAP, static_cast<void*>(&map)) != 0 ||
      map == nullptr || map->l_name == nullptr || *map->l_name == '\0') {
    return name;
  }
  return map->l_name;
}

}  // namespace

absl::StatusOr<SharedLibrary> OpenSharedLibrary(
    const std::string& named, const char* variable,
    const std::vector<std::string>& candidates) {
  std::vector<std::string> names = candidates;
  if (!named.empty()) {
    names = {named};
  } else if (const char* const value = std::getenv(variable);
             value != nullptr && *value != '\0') {
    names = {value};
  }
  std::vector<std::string> tried;
  for (const std::string& name : names) {
    void* const handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) return SharedLibrary{handle, PathOf(handle, name)};
    // The loader begins with the name of the file that is not there: this one,
    // or one that it needs.
    const std::string why = dlerror();
    const bool is_missing =
        absl::StartsWith(why, absl::StrCat(name, ": cannot open shared")) &&
        absl::StrContains(why, "No such file");
    tried.push_back(is_missing ? name : absl::StrCat(name, " (", why, ")"));
  }
  return absl::NotFoundError(
      absl::StrCat("tried ", absl::StrJoin(tried, ", ")));
}

}  // namespace actserve
