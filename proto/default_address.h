// Where a server and its clients on one host meet when nobody says otherwise.
// The rule, for every client in every language:
//
//   1. $ACTSERVE_ADDRESS, if set and not empty; it may be "local"
//   2. "unix:" + DefaultSocketPath(), if ServerListensByDefault()
//   3. "local", if the client can compute in its own process
//   4. none: an error that names the three

#ifndef ACTSERVE_PROTO_DEFAULT_ADDRESS_H_
#define ACTSERVE_PROTO_DEFAULT_ADDRESS_H_

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

namespace actserve {

inline constexpr char kDefaultTcpAddress[] = "127.0.0.1:50051";

// $XDG_RUNTIME_DIR/actserve, or /tmp/actserve-<uid> where that is not set to
// an absolute path. The server creates it with mode 0700.
inline std::string DefaultSocketDirectory() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && runtime[0] == '/') {
    return std::string(runtime) + "/actserve";
  }
  return "/tmp/actserve-" + std::to_string(getuid());
}

inline std::string DefaultSocketPath() {
  return DefaultSocketDirectory() + "/actserve.sock";
}

// True if a socket is there in a directory that is the caller's own and that
// nobody else can write to. In /tmp anyone could have made it first, so a
// client must not send data to a socket that fails this.
inline bool DefaultSocketIsUsable() {
  struct stat info;
  if (lstat(DefaultSocketDirectory().c_str(), &info) != 0 ||
      !S_ISDIR(info.st_mode) || info.st_uid != getuid() ||
      (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return false;
  }
  return lstat(DefaultSocketPath().c_str(), &info) == 0 &&
         S_ISSOCK(info.st_mode);
}

// True if that socket is usable and a server listens on it; one that was killed
// leaves its socket behind.
inline bool ServerListensByDefault() {
  const std::string path = DefaultSocketPath();
  sockaddr_un address = {};
  if (path.size() >= sizeof(address.sun_path) || !DefaultSocketIsUsable()) {
    return false;
  }
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool listens = connect(fd, reinterpret_cast<const sockaddr*>(&address),
                               sizeof(address)) == 0 ||
                       errno == EAGAIN;  // it has many callers
  close(fd);
  return listens;
}

// 1 and 2 of the rule; empty: neither.
inline std::string DefaultAddress() {
  const char* address = std::getenv("ACTSERVE_ADDRESS");
  if (address != nullptr && address[0] != '\0') return address;
  if (ServerListensByDefault()) return "unix:" + DefaultSocketPath();
  return "";
}

}  // namespace actserve

#endif  // ACTSERVE_PROTO_DEFAULT_ADDRESS_H_
