// Where a server and its clients on one host meet when nobody says otherwise.
// The rule, for every client in every language:
//
//   1. $ACTSERVE_ADDRESS, if set and not empty: any gRPC target
//   2. "unix:" + DefaultSocketPath(), if DefaultSocketIsUsable()
//   3. kDefaultTcpAddress

#ifndef ACTSERVE_PROTO_DEFAULT_ADDRESS_H_
#define ACTSERVE_PROTO_DEFAULT_ADDRESS_H_

#include <sys/stat.h>
#include <unistd.h>

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

// The rule above.
inline std::string DefaultAddress() {
  const char* address = std::getenv("ACTSERVE_ADDRESS");
  if (address != nullptr && address[0] != '\0') return address;
  if (DefaultSocketIsUsable()) return "unix:" + DefaultSocketPath();
  return kDefaultTcpAddress;
}

}  // namespace actserve

#endif  // ACTSERVE_PROTO_DEFAULT_ADDRESS_H_
