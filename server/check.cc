#include "server/check.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/base/status_macros.h"
#include "server/engine/device_choice.h"
#include "server/engine/device_makers.h"
#include "server/identity/authenticator.h"
#include "server/listen/listening_socket.h"
#include "server/listen/unix_socket.h"
#include "server/tls/certificates.h"

namespace actserve {
namespace {

// OK if this process may make a file at `path`.
absl::Status CheckFolderOf(const std::string& path) {
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  if (access(folder.c_str(), W_OK | X_OK) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "port_file: cannot write to ", folder.native(), ": ", strerror(errno)));
}

}  // namespace

absl::StatusOr<std::string> CheckSurroundings(const Options& options) {
  ACTSERVE_RETURN_IF_ERROR(Validate(options));
  for (const std::string& address : options.listen) {
    ACTSERVE_RETURN_IF_ERROR(ListeningSocket::CheckTcp(address));
  }
  if (!options.unix_socket.empty()) {
    ACTSERVE_RETURN_IF_ERROR(CheckUnixSocket(options.unix_socket));
  }
  if (options.identifies_callers()) {
    ACTSERVE_RETURN_IF_ERROR(Authenticator::Create(options.identity).status());
  }
  if (options.tls.enabled()) {
    ACTSERVE_RETURN_IF_ERROR(LoadTls(options.tls, absl::Now()).status());
  }
  if (!options.metrics.empty()) {
    ACTSERVE_RETURN_IF_ERROR(
        ListeningSocket::CheckTcp(options.metrics, "metrics"));
  }
  if (!options.port_file.empty()) {
    ACTSERVE_RETURN_IF_ERROR(CheckFolderOf(options.port_file));
  }
  ACTSERVE_ASSIGN_OR_RETURN(const ChosenDevice device,
                            ChooseDevice(options.device, MakersFor(options)));
  return absl::StrCat(device.device->name(), " (", device.reason, ")");
}

}  // namespace actserve
