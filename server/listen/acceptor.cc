#include "server/listen/acceptor.h"

#include <dirent.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "kernels/base/status_macros.h"
#include "server/listen/unix_socket.h"
#include "server/metrics/refusals.h"
#include "server/observe/log.h"

namespace actserve {
namespace {

// How often sockets are looked at, and how long the thread waits after an
// error that its next try would meet too.
constexpr absl::Duration kCheckInterval = absl::Seconds(1);
constexpr absl::Duration kPause = absl::Milliseconds(50);
// How often at most connections are counted again before one is refused.
constexpr absl::Duration kCountInterval = absl::Milliseconds(100);
// A flood of connections must not become a flood of log lines.
constexpr absl::Duration kLogInterval = absl::Seconds(60);

// Returns whether it is time to log again, at most once an interval.
bool IsTimeToLog(absl::Time* last) {
  const absl::Time now = absl::Now();
  if (now - *last < kLogInterval) return false;
  *last = now;
  return true;
}

// Calls getsockname() or getpeername(). False if `fd` is no connected socket.
bool GetAddress(int (*get)(int, sockaddr*, socklen_t*), int fd,
                sockaddr_storage* address) {
  socklen_t size = sizeof(*address);
  return get(fd, reinterpret_cast<sockaddr*>(address), &size) == 0;
}

Peer PeerOf(const sockaddr_storage& remote) {
  if (remote.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(remote);
    return {std::string(reinterpret_cast<const char*>(&v4.sin_addr), 4),
            ntohs(v4.sin_port)};
  }
  if (remote.ss_family != AF_INET6) return {};
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(remote);
  std::string address(reinterpret_cast<const char*>(&v6.sin6_addr), 16);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) address.erase(0, 12);
  return {address, ntohs(v6.sin6_port)};
}

Peer PeerOf(int fd) {
  sockaddr_storage remote = {};
  if (!GetAddress(getpeername, fd, &remote)) return {};
  return PeerOf(remote);
}

// Ends a connection. Unlike shutdown() it drops what has arrived and was not
// read: that may be megabytes of what the connection is closed for. TCP only.
void Drop(int fd) {
  const sockaddr nobody = {.sa_family = AF_UNSPEC, .sa_data = {}};
  if (connect(fd, &nobody, sizeof(nobody)) != 0) shutdown(fd, SHUT_RDWR);
}

// Of each of `fds`, whether the other side hung up.
std::vector<bool> AreHungUp(const std::vector<int>& fds) {
  std::vector<pollfd> polled;
  for (const int fd : fds) polled.push_back({fd, POLLRDHUP, 0});
  poll(polled.data(), polled.size(), 0);
  std::vector<bool> hung_up;
  for (const pollfd& each : polled) {
    hung_up.push_back((each.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0);
  }
  return hung_up;
}

// Whether so much has arrived at `fd` and is unread that reading it takes
// milliseconds.
bool HasMuchUnread(int fd) {
  constexpr int kMuch = 4096;
  int unread = 0;
  return ioctl(fd, FIONREAD, &unread) == 0 && unread >= kMuch;
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
    ACTSERVE_ASSIGN_OR_RETURN(
        ListeningSocket socket,
        ListeningSocket::OpenUnix(
            options.unix_socket,
            /*for_all_users=*/!options.unix_users.empty()));
    acceptor->unix_users_ = options.unix_users;
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
  acceptor->max_connections_ =
      acceptor->max_descriptor_ - acceptor->stop_event_;
  if (acceptor->max_connections_ < kFewestConnections) {
    return absl::FailedPreconditionError(absl::StrCat(
        "max_connections: this process may open ", DescriptorLimit(),
        " files, which leaves ", std::max(0, acceptor->max_connections_),
        " for connections, and at least ", int{kFewestConnections},
        " are needed"));
  }
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
  for (const Waiting& each : waiting_) close(each.fd);
  waiting_.clear();
  for (ListeningSocket& socket : sockets_) socket.Close();
}

void Acceptor::Run(const Take& take) {
  absl::Time checked = absl::Now();
  // In a flood there is more to look after.
  const auto is_busy = [this] {
    return !waiting_.empty() || !hung_up_.empty();
  };
  for (;;) {
    std::vector<pollfd> polled = {{stop_event_, POLLIN, 0}};
    for (const ListeningSocket& socket : sockets_) {
      polled.push_back({socket.fd(), POLLIN, 0});
    }
    poll(polled.data(), polled.size(),
         static_cast<int>(absl::ToInt64Milliseconds(
             is_busy() ? kPaceInterval : kCheckInterval)));
    if (polled[0].revents != 0) return;
    bool has_error = false;
    for (size_t i = 0; i < sockets_.size(); ++i) {
      const short events = polled[i + 1].revents;
      if ((events & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
        has_error = true;
        sockets_[i].Close();
      } else if (events != 0) {
        AcceptAll(sockets_[i]);
      }
    }
    HandOver(take);
    if (has_error ||
        absl::Now() - checked >= (is_busy() ? kPaceInterval : kCheckInterval)) {
      Check();
      checked = absl::Now();
    }
  }
}

void Acceptor::AcceptAll(const ListeningSocket& socket) {
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
    const bool is_unix = !socket.path().empty();
    if (is_unix && !MayConnect(fd)) {
      close(fd);
      continue;
    }
    const Peer peer = PeerOf(fd);
    const std::string host = HostOf(peer);
    if (fd < max_descriptor_ && MayAccept(host)) {
      ++connections_of_host_[host];
      ++num_connections_;
      ++waiting_of_host_[host];
      waiting_.push_back({socket.fd(), fd, is_unix, peer});
      continue;
    }
    CountRefusal(Refusal::kConnections);
    close(fd);
    if (IsTimeToLog(&logged_bound)) {
      LogEvent(LogLevel::kWarning, "too_many_connections",
               {{"max_descriptors", int64_t{max_descriptor_}}});
    }
  }
}

void Acceptor::HandOver(const Take& take) {
  const absl::Time now = absl::Now();
  if (now - interval_began_ >= kPaceInterval) {
    interval_began_ = now;
    handed_over_of_host_.clear();
  }
  std::vector<int> fds;
  for (const Waiting& each : waiting_) fds.push_back(each.fd);
  const std::vector<bool> hung_up = AreHungUp(fds);
  size_t at = 0;
  std::erase_if(waiting_, [&](const Waiting& next) {
    const std::string host = HostOf(next.peer);
    const bool is_hung_up = hung_up[at++];
    const bool is_dropped = is_hung_up || IsRefused(host);
    int& handed_over = handed_over_of_host_[host];
    if (!is_dropped && !next.is_unix_socket && handed_over >= kPace) {
      return false;
    }
    --waiting_of_host_[host];
    if (!is_dropped) {
      ++handed_over;
      take(next.listener_fd, next.fd, next.is_unix_socket);
      return true;
    }
    if (is_hung_up) {
      Drop(next.fd);
    } else {
      CountRefusal(Refusal::kConnections);
    }
    close(next.fd);
    return true;
  });
  if (waiting_.empty()) waiting_of_host_.clear();
}

void Acceptor::RefuseWhoGivesUp() {
  int64_t num_hosts = 0;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [host, count] : given_up_of_host_) {
      if (count <= kMaxGivenUp) continue;
      refused_.Refuse(host, absl::Now());
      ++num_hosts;
    }
  }
  given_up_of_host_.clear();
  static absl::Time logged = absl::InfinitePast();
  if (num_hosts > 0 && IsTimeToLog(&logged)) {
    LogEvent(LogLevel::kWarning, "connections_given_up",
             {{"hosts", num_hosts}});
  }
}

bool Acceptor::IsRefused(const std::string& host) {
  absl::MutexLock lock(&mu_);
  return refused_.IsRefused(host, absl::Now());
}

bool Acceptor::MayAccept(const std::string& host) {
  if (IsRefused(host) || waiting_of_host_[host] >= kMaxWaiting) return false;
  const auto is_within_share = [&] {
    const auto it = connections_of_host_.find(host);
    return it == connections_of_host_.end() ||
           it->second < kShare * (max_connections_ - num_connections_);
  };
  if (is_within_share()) return true;
  if (absl::Now() - counted_ < kCountInterval) return false;
  Count(Connections());
  return is_within_share();
}

std::vector<Acceptor::Connection> Acceptor::Connections() const {
  std::vector<Connection> connections;
  ForEachConnection(
      [&](int fd, const Peer& peer) { connections.push_back({fd, peer}); });
  return connections;
}

void Acceptor::Count(const std::vector<Connection>& connections) {
  connections_of_host_.clear();
  for (const Connection& each : connections) {
    ++connections_of_host_[HostOf(each.peer)];
  }
  num_connections_ = static_cast<int>(connections.size());
  counted_ = absl::Now();
}

void Acceptor::DropHungUp(const std::vector<Connection>& connections) {
  std::vector<int> fds;
  for (const Connection& each : connections) fds.push_back(each.fd);
  const std::vector<bool> are_hung_up = AreHungUp(fds);
  absl::flat_hash_map<int, Peer> hung_up;
  for (size_t i = 0; i < connections.size(); ++i) {
    if (!are_hung_up[i]) continue;
    const auto& [fd, peer] = connections[i];
    const auto before = hung_up_.find(fd);
    if (before != hung_up_.end() && before->second == peer) {
      Drop(fd);
    } else {
      hung_up.emplace(fd, peer);
      if (HasMuchUnread(fd)) ++given_up_of_host_[HostOf(peer)];
    }
  }
  hung_up_ = std::move(hung_up);
}

bool Acceptor::MayConnect(int unix_fd) const {
  if (actserve::MayConnect(unix_users_, unix_fd)) return true;
  static absl::Time logged = absl::InfinitePast();
  if (IsTimeToLog(&logged)) {
    const std::optional<ucred> user = UserAt(unix_fd);
    LogEvent(LogLevel::kWarning, "unix_user_refused",
             {{"uid", user ? int64_t{user->uid} : int64_t{-1}}});
  }
  return false;
}

void Acceptor::Check() {
  const std::vector<Connection> connections = Connections();
  Count(connections);
  DropHungUp(connections);
  RefuseWhoGivesUp();
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
    sockaddr_storage local = {};
    sockaddr_storage remote = {};
    if (!GetAddress(getsockname, fd, &local) ||
        !GetAddress(getpeername, fd, &remote)) {
      continue;
    }
    for (const ListeningSocket& socket : sockets_) {
      if (!socket.Accepted(local)) continue;
      visit(fd, PeerOf(remote));
      break;
    }
  }
  closedir(folder);
}

int Acceptor::num_connections() const {
  int count = 0;
  ForEachConnection([&](int, const Peer&) { ++count; });
  return count;
}

void Acceptor::CloseConnections() const {
  ForEachConnection([](int fd, const Peer&) { shutdown(fd, SHUT_RDWR); });
}

void Acceptor::CloseConnections(const absl::flat_hash_set<Peer>& peers) const {
  ForEachConnection([&](int fd, const Peer& peer) {
    if (peers.contains(peer)) Drop(fd);
  });
}

void Acceptor::Refuse(const absl::flat_hash_set<Peer>& peers) {
  absl::flat_hash_set<std::string> hosts;
  for (const Peer& peer : peers) {
    if (!peer.address.empty()) hosts.insert(HostOf(peer));
  }
  {
    const absl::Time now = absl::Now();
    absl::MutexLock lock(&mu_);
    for (const std::string& host : hosts) refused_.Refuse(host, now);
  }
  ForEachConnection([&](int fd, const Peer& peer) {
    if (hosts.contains(HostOf(peer))) Drop(fd);
  });
}

absl::flat_hash_map<Peer, int64_t> Acceptor::ReceivedBytes() const {
  absl::flat_hash_map<Peer, int64_t> bytes;
  ForEachConnection([&](int fd, const Peer& peer) {
    tcp_info info = {};
    socklen_t size = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0) {
      bytes[peer] = static_cast<int64_t>(info.tcpi_bytes_received);
    }
  });
  return bytes;
}

}  // namespace actserve
