#include "server/listen/acceptor.h"

#include <dirent.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "kernels/base/status_macros.h"
#include "server/listen/unix_socket.h"
#include "server/observe/log.h"

namespace actserve {
namespace {

// How often sockets are looked at, and how long the thread waits after an
// error that its next try would meet too.
constexpr absl::Duration kCheckInterval = absl::Seconds(1);
constexpr absl::Duration kPause = absl::Milliseconds(50);
// A flood of connections must not become a flood of log lines.
constexpr absl::Duration kLogInterval = absl::Seconds(60);

// Returns whether it is time to log again, at most once an interval.
bool IsTimeToLog(absl::Time* last) {
  const absl::Time now = absl::Now();
  if (now - *last < kLogInterval) return false;
  *last = now;
  return true;
}

Acceptor::Peer PeerOf(int fd) {
  sockaddr_storage storage = {};
  socklen_t size = sizeof(storage);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    return {};
  }
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    return {std::string(reinterpret_cast<const char*>(&v4.sin_addr), 4),
            ntohs(v4.sin_port)};
  }
  if (storage.ss_family != AF_INET6) return {};
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
  std::string address(reinterpret_cast<const char*>(&v6.sin6_addr), 16);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) address.erase(0, 12);
  return {address, ntohs(v6.sin6_port)};
}

// The limit on descriptors of this process.
int DescriptorLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 30));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Listen(
    const Options& options) {
  std::unique_ptr<Acceptor> acceptor(new Acceptor);
  for (const std::string& wanted : options.listen) {
    ACTSERVE_ASSIGN_OR_RETURN(std::vector<ListeningSocket> opened,
                              ListeningSocket::OpenTcp(wanted));
    acceptor->addresses_.push_back(absl::StrCat(
        wanted.substr(0, wanted.rfind(':') + 1), opened[0].port()));
    for (ListeningSocket& socket : opened) {
      acceptor->sockets_.push_back(std::move(socket));
    }
  }
  if (!options.unix_socket.empty()) {
    ACTSERVE_RETURN_IF_ERROR(PrepareUnixSocket(options.unix_socket));
    ACTSERVE_ASSIGN_OR_RETURN(ListeningSocket socket,
                              ListeningSocket::OpenUnix(options.unix_socket));
    acceptor->sockets_.push_back(std::move(socket));
    acceptor->addresses_.push_back(absl::StrCat("unix:", options.unix_socket));
  }
  acceptor->stop_event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (acceptor->stop_event_ < 0) {
    return absl::UnavailableError(
        absl::StrCat("listen: eventfd: ", std::strerror(errno)));
  }
  acceptor->max_descriptor_ =
      std::min(acceptor->stop_event_ + options.max_connections,
               DescriptorLimit() - kReservedDescriptors);
  return acceptor;
}

std::vector<std::string> Acceptor::socket_addresses() const {
  std::vector<std::string> addresses;
  for (const ListeningSocket& socket : sockets_) {
    addresses.push_back(socket.address());
  }
  return addresses;
}

Acceptor::~Acceptor() {
  Stop();
  if (stop_event_ >= 0) close(stop_event_);
}

void Acceptor::Start(Take take) {
  thread_ = std::thread([this, take = std::move(take)] { Run(take); });
  pthread_setname_np(thread_.native_handle(), "acceptor");
}

void Acceptor::Stop() {
  if (thread_.joinable()) {
    eventfd_write(stop_event_, 1);
    thread_.join();
  }
  for (ListeningSocket& socket : sockets_) socket.Close();
}

void Acceptor::Run(const Take& take) {
  absl::Time checked = absl::Now();
  for (;;) {
    std::vector<pollfd> polled = {{stop_event_, POLLIN, 0}};
    for (const ListeningSocket& socket : sockets_) {
      polled.push_back({socket.fd(), POLLIN, 0});
    }
    poll(polled.data(), polled.size(),
         static_cast<int>(absl::ToInt64Milliseconds(kCheckInterval)));
    if (polled[0].revents != 0) return;
    bool has_error = false;
    for (size_t i = 0; i < sockets_.size(); ++i) {
      const short events = polled[i + 1].revents;
      if ((events & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
        has_error = true;
        sockets_[i].Close();
      } else if (events != 0) {
        AcceptAll(sockets_[i], take);
      }
    }
    if (has_error || absl::Now() - checked >= kCheckInterval) {
      Check();
      checked = absl::Now();
    }
  }
}

void Acceptor::AcceptAll(const ListeningSocket& socket, const Take& take) {
  static absl::Time logged_error = absl::InfinitePast();
  static absl::Time logged_bound = absl::InfinitePast();
  // The others' turn comes after some of one.
  constexpr int kMaxAtOnce = 64;
  for (int i = 0; i < kMaxAtOnce; ++i) {
    const int fd = socket.Accept();
    if (fd < 0) {
      if (errno == EAGAIN) return;
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (IsTimeToLog(&logged_error)) {
        LogEvent(LogLevel::kWarning, "not_accepted",
                 {{"reason", std::strerror(errno)}});
      }
      absl::SleepFor(kPause);
      return;
    }
    if (fd < max_descriptor_) {
      take(socket.fd(), fd);
      continue;
    }
    close(fd);
    if (IsTimeToLog(&logged_bound)) {
      LogEvent(LogLevel::kWarning, "too_many_connections",
               {{"max_descriptors", int64_t{max_descriptor_}}});
    }
  }
}

void Acceptor::Check() {
  static absl::Time logged_failure = absl::InfinitePast();
  for (ListeningSocket& socket : sockets_) {
    if (socket.IsReachable()) continue;
    const absl::Status reopened = socket.Reopen();
    if (!reopened.ok() && !IsTimeToLog(&logged_failure)) continue;
    LogEvent(LogLevel::kWarning, "listener_lost",
             {{"address", socket.path().empty()
                              ? absl::StrCat("port ", socket.port())
                              : socket.path()},
              {"reopened", int64_t{reopened.ok()}},
              {"error", std::string(reopened.message())}});
  }
}

template <typename Visit>
void Acceptor::ForEachConnection(Visit visit) const {
  DIR* const folder = opendir("/proc/self/fd");
  if (folder == nullptr) return;
  while (const dirent* entry = readdir(folder)) {
    int fd = -1;
    if (!absl::SimpleAtoi(entry->d_name, &fd)) continue;
    for (const ListeningSocket& socket : sockets_) {
      if (socket.Accepted(fd)) visit(fd);
    }
  }
  closedir(folder);
}

void Acceptor::CloseConnections() const {
  ForEachConnection([](int fd) { shutdown(fd, SHUT_RDWR); });
}

void Acceptor::CloseConnection(const Peer& peer) const {
  ForEachConnection([&](int fd) {
    if (PeerOf(fd) != peer) return;
    // Unlike shutdown() it drops what has arrived and was not read: that may be
    // megabytes of what the connection is closed for. TCP only.
    const sockaddr nobody = {.sa_family = AF_UNSPEC, .sa_data = {}};
    if (connect(fd, &nobody, sizeof(nobody)) != 0) shutdown(fd, SHUT_RDWR);
  });
}

int64_t Acceptor::ReceivedBytes(const Peer& peer) const {
  int64_t bytes = 0;
  ForEachConnection([&](int fd) {
    tcp_info info = {};
    socklen_t size = sizeof(info);
    if (PeerOf(fd) == peer &&
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0) {
      bytes = static_cast<int64_t>(info.tcpi_bytes_received);
    }
  });
  return bytes;
}

}  // namespace actserve
