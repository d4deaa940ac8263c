#ifndef ACTSERVE_SERVER_LISTEN_LISTENING_SOCKET_H_
#define ACTSERVE_SERVER_LISTEN_LISTENING_SOCKET_H_

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace actserve {

// One socket that listens. Move-only; closes it when destroyed, and removes the
// path of a unix socket if it is still its own. Not thread-safe.
class ListeningSocket {
 public:
  // Listens at every address that the host of `host_port` ("127.0.0.1:50051",
  // "[::1]:0", "localhost:50051", ":50051" for all interfaces) resolves to, all
  // with one port. Port 0 picks a free one. Errors name `flag`.
  //   InvalidArgument  not host:port, a port over 65535, an unknown host
  //   Unavailable      an address is taken, or not of this machine
  static absl::StatusOr<std::vector<ListeningSocket>> OpenTcp(
      const std::string& host_port, absl::string_view flag = "listen");
  // OK if OpenTcp() would understand `host_port`. Listens nowhere.
  //   InvalidArgument  as OpenTcp()
  static absl::Status CheckTcp(const std::string& host_port,
                               absl::string_view flag = "listen");
  // Listens at an absolute path, which PrepareUnixSocket() has prepared, with a
  // socket of `type`. Without `for_all_users` the process' umask decides who
  // may connect.
  //   Unavailable  it cannot be bound
  static absl::StatusOr<ListeningSocket> OpenUnix(const std::string& path,
                                                  bool for_all_users = false,
                                                  int type = SOCK_STREAM);

  ListeningSocket(ListeningSocket&& other) noexcept;
  ListeningSocket& operator=(ListeningSocket&& other) noexcept;
  ~ListeningSocket();

  int fd() const { return fd_; }
  int port() const { return port_; }                 // 0 for a unix socket
  const std::string& path() const { return path_; }  // "" for TCP
  // A sockaddr of the kernel's, to connect to.
  const std::string& address() const { return address_; }

  // Accepts a connection: its descriptor, or -1 and errno.
  int Accept() const;

  // Returns whether clients can still reach it: it listens, and a unix socket
  // is still what its path names.
  bool IsReachable() const;

  // Listens again at the same address.
  //   Unavailable  it cannot be bound
  absl::Status Reopen();

  // Listens no more.
  void Close();

  // Returns whether a connected socket whose own address is `local` was
  // accepted here.
  bool Accepted(const sockaddr_storage& local) const;

 private:
  ListeningSocket() = default;
  absl::Status Bind();
  bool OwnsPath() const;

  int fd_ = -1;
  int port_ = 0;
  std::string path_;
  std::string address_;
  uint64_t inode_ = 0;  // of path_
  bool for_all_users_ = false;
  int type_ = SOCK_STREAM;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_LISTEN_LISTENING_SOCKET_H_
