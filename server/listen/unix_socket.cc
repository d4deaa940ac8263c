#include "server/listen/unix_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

template <typename... Parts>
absl::Status Unusable(const std::string& path, const Parts&... parts) {
  return absl::FailedPreconditionError(
      absl::StrCat("unix_socket: ", path, ": ", parts...));
}

absl::Status PrepareDirectory(const std::string& directory) {
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return Unusable(directory, "cannot be made: ", std::strerror(errno));
  }
  struct stat info;
  if (lstat(directory.c_str(), &info) != 0) {
    return Unusable(directory, std::strerror(errno));
  }
  if (!S_ISDIR(info.st_mode)) return Unusable(directory, "not a directory");
  if (info.st_uid != getuid()) {
    return Unusable(directory, "belongs to another user, ", info.st_uid);
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Unusable(directory, "can be written to by other users");
  }
  return absl::OkStatus();
}

// True if a connection to it is accepted, or waits for that.
bool SomeoneListens(const sockaddr_un& address, int type) {
  const int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool listens = connect(fd, reinterpret_cast<const sockaddr*>(&address),
                               sizeof(address)) == 0 ||
                       errno == EAGAIN;
  close(fd);
  return listens;
}

}  // namespace

absl::Status CheckUnixSocket(const std::string& path) {
  const sockaddr_un address = {};
  if (path.empty() || path[0] != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("unix_socket: ", path, ": not an absolute path"));
  }
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("unix_socket: ", path, ": ", path.size(), " bytes, limit ",
                     sizeof(address.sun_path) - 1));
  }
  // "/name" lies in "/".
  const size_t directory_bytes = std::max<size_t>(1, path.find_last_of('/'));
  return PrepareDirectory(path.substr(0, directory_bytes));
}

absl::Status PrepareUnixSocket(const std::string& path, int type) {
  ACTSERVE_RETURN_IF_ERROR(CheckUnixSocket(path));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return absl::OkStatus();
  if (!S_ISSOCK(info.st_mode)) return Unusable(path, "is no socket");
  if (SomeoneListens(address, type)) {
    return Unusable(path, "another server listens there");
  }
  if (unlink(path.c_str()) != 0) {
    return Unusable(path, "cannot be removed: ", std::strerror(errno));
  }
  return absl::OkStatus();
}

}  // namespace actserve
