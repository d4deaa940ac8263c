#include "client/cpp/address.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace actserve {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string DefaultSocketPath() {
  const std::string runtime = Environment("XDG_RUNTIME_DIR");
  if (!runtime.empty()) return absl::StrCat(runtime, "/actserve/actserve.sock");
  return absl::StrCat("/tmp/actserve-", getuid(), "/actserve.sock");
}

std::string ResolveAddress(std::string_view address) {
  if (!address.empty()) return std::string(address);
  const std::string configured = Environment("ACTSERVE_ADDRESS");
  if (!configured.empty()) return configured;
  const std::string socket = DefaultSocketPath();
  struct stat status;
  // A socket of somebody else in /tmp is not ours to trust with tensors.
  if (stat(socket.c_str(), &status) == 0 && S_ISSOCK(status.st_mode) &&
      status.st_uid == getuid()) {
    return absl::StrCat("unix:", socket);
  }
  return std::string(kDefaultTcpAddress);
}

}  // namespace actserve
