#include "server/listen/listening_socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

constexpr int kMaxPort = 65535;

struct HostPort {
  std::string host;
  int port = 0;
};

absl::StatusOr<HostPort> Parse(const std::string& address,
                               absl::string_view flag) {
  const size_t colon = address.rfind(':');
  HostPort parsed;
  if (colon == std::string::npos ||
      !absl::SimpleAtoi(address.substr(colon + 1), &parsed.port) ||
      parsed.port < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": ", address, " is not host:port"));
  }
  if (parsed.port > kMaxPort) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": ", address, ": port ", parsed.port,
                     " is not in 0 .. ", kMaxPort));
  }
  parsed.host = address.substr(0, colon);
  const std::string& host = parsed.host;
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    parsed.host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        flag, ": ", address, ": write an IPv6 address as [address]:port"));
  }
  if (parsed.host.empty()) parsed.host = "::";
  return parsed;
}

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

absl::StatusOr<Addresses> Resolve(const HostPort& wanted,
                                  const std::string& host_port,
                                  absl::string_view flag) {
  addrinfo hints = {};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(wanted.host.c_str(), "0", &hints, &found);
  if (error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": ", host_port, ": ", gai_strerror(error)));
  }
  return Addresses(found, &freeaddrinfo);
}

template <typename Option>
void SetOption(int fd, int level, int name, Option value) {
  setsockopt(fd, level, name, &value, sizeof(value));
}

// What gRPC sets on sockets of its own; what is accepted inherits it.
void SetTcpOptions(int fd, int family) {
  constexpr int kOn = 1;
  constexpr int kUserTimeoutMillis =
      20'000;  // the listener's keepalive timeout
  SetOption(fd, SOL_SOCKET, SO_REUSEADDR, kOn);
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, kOn);
  SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMillis);
  if (family == AF_INET6) SetOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
}

sockaddr_storage LocalAddress(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return address;
}

int PortOf(const sockaddr_storage& address) {
  switch (address.ss_family) {
    case AF_INET:
      return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
    case AF_INET6:
      return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
    default:
      return 0;
  }
}

// `address` with another port.
std::string WithPort(std::string address, int port) {
  sockaddr_storage storage = {};
  std::memcpy(&storage, address.data(), address.size());
  if (storage.ss_family == AF_INET) {
    reinterpret_cast<sockaddr_in&>(storage).sin_port = htons(port);
  } else if (storage.ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6&>(storage).sin6_port = htons(port);
  }
  std::memcpy(address.data(), &storage, address.size());
  return address;
}

}  // namespace

absl::Status ListeningSocket::CheckTcp(const std::string& host_port,
                                       absl::string_view flag) {
  ACTSERVE_ASSIGN_OR_RETURN(const HostPort wanted, Parse(host_port, flag));
  return Resolve(wanted, host_port, flag).status();
}

absl::StatusOr<std::vector<ListeningSocket>> ListeningSocket::OpenTcp(
    const std::string& host_port, absl::string_view flag) {
  ACTSERVE_ASSIGN_OR_RETURN(const HostPort wanted, Parse(host_port, flag));
  ACTSERVE_ASSIGN_OR_RETURN(const Addresses found,
                            Resolve(wanted, host_port, flag));
  std::vector<ListeningSocket> sockets;
  int port = wanted.port;
  for (const addrinfo* each = found.get(); each != nullptr;
       each = each->ai_next) {
    ListeningSocket socket;
    socket.address_ =
        WithPort(std::string(reinterpret_cast<const char*>(each->ai_addr),
                             each->ai_addrlen),
                 port);
    if (absl::Status status = socket.Bind(); !status.ok()) {
      // "localhost" may name an IPv6 address on a machine without IPv6.
      if (each->ai_next != nullptr || !sockets.empty()) continue;
      return absl::UnavailableError(absl::StrCat(
          flag, ": cannot bind ", host_port, ": ", status.message()));
    }
    port = socket.port_;
    sockets.push_back(std::move(socket));
  }
  return sockets;
}

absl::StatusOr<ListeningSocket> ListeningSocket::OpenUnix(
    const std::string& path, bool for_all_users, int type) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  ListeningSocket socket;
  socket.path_ = path;
  socket.for_all_users_ = for_all_users;
  socket.type_ = type;
  socket.address_.assign(reinterpret_cast<const char*>(&address),
                         sizeof(address));
  if (absl::Status status = socket.Bind(); !status.ok()) {
    return absl::UnavailableError(absl::StrCat("unix_socket: cannot bind ",
                                               path, ": ", status.message()));
  }
  return socket;
}

absl::Status ListeningSocket::Bind() {
  const auto* const address =
      reinterpret_cast<const sockaddr*>(address_.data());
  const int family = address->sa_family;
  fd_ = socket(family, type_ | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) return absl::UnavailableError(std::strerror(errno));
  if (family != AF_UNIX) SetTcpOptions(fd_, family);
  if (bind(fd_, address, address_.size()) != 0 ||
      (for_all_users_ && chmod(path_.c_str(), 0666) != 0) ||
      listen(fd_, SOMAXCONN) != 0) {
    const int error = errno;
    close(std::exchange(fd_, -1));
    return absl::UnavailableError(std::strerror(error));
  }
  if (family == AF_UNIX) {
    struct stat info = {};
    stat(path_.c_str(), &info);
    inode_ = info.st_ino;
  } else {
    // Listening again changes nothing: others may read it meanwhile.
    if (port_ == 0) port_ = PortOf(LocalAddress(fd_));
    address_ = WithPort(std::move(address_), port_);
  }
  return absl::OkStatus();
}

ListeningSocket::ListeningSocket(ListeningSocket&& other) noexcept {
  *this = std::move(other);
}

ListeningSocket& ListeningSocket::operator=(ListeningSocket&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(port_, other.port_);
  std::swap(path_, other.path_);
  std::swap(address_, other.address_);
  std::swap(inode_, other.inode_);
  std::swap(for_all_users_, other.for_all_users_);
  std::swap(type_, other.type_);
  return *this;
}

ListeningSocket::~ListeningSocket() { Close(); }

bool ListeningSocket::OwnsPath() const {
  struct stat info = {};
  return lstat(path_.c_str(), &info) == 0 && info.st_ino == inode_;
}

void ListeningSocket::Close() {
  if (fd_ < 0) return;
  if (!path_.empty() && OwnsPath()) unlink(path_.c_str());
  close(std::exchange(fd_, -1));
}

int ListeningSocket::Accept() const {
  return accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

bool ListeningSocket::IsReachable() const {
  if (fd_ < 0) return false;
  // A socket that was shut down does not listen any more.
  int listens = 0;
  socklen_t size = sizeof(listens);
  if (getsockopt(fd_, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 ||
      listens == 0) {
    return false;
  }
  return path_.empty() || OwnsPath();
}

absl::Status ListeningSocket::Reopen() {
  Close();
  return Bind();
}

bool ListeningSocket::Accepted(const sockaddr_storage& local) const {
  if (local.ss_family != AF_UNIX) return port_ != 0 && PortOf(local) == port_;
  return !path_.empty() &&
         path_ == reinterpret_cast<const sockaddr_un&>(local).sun_path;
}

}  // namespace actserve
