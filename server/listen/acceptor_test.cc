#include "server/listen/acceptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/metrics/refusals.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

// Far more than any of it takes.
constexpr absl::Duration kPatience = absl::Seconds(30);

// A descriptor that is closed at the end of a scope.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }
  // Whether the other end is closed, or closes while this waits.
  bool IsEnded() const {
    const timeval patience = absl::ToTimeval(kPatience);
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    char byte;
    const ssize_t received = recv(fd_, &byte, 1, 0);
    return received == 0 || (received < 0 && errno == ECONNRESET);
  }

 private:
  int fd_;
};

bool IsOpen(const Socket& socket) {
  char byte;
  return recv(socket.fd(), &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

// What the server calls this client of 127.0.0.1.
Peer PeerOf(const Socket& socket) {
  sockaddr_in address = {};
  socklen_t size = sizeof(address);
  EXPECT_EQ(
      getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&address), &size),
      0);
  return {std::string("\x7f\0\0\1", 4), ntohs(address.sin_port)};
}

// Connects to 127.0.0.1:port or unix:path; fd() is -1 if that is refused.
// `from` is an address of this machine.
Socket ConnectTo(const std::string& address, const char* from = nullptr) {
  sockaddr_storage storage = {};
  socklen_t size = 0;
  if (address.starts_with("unix:")) {
    auto& to = reinterpret_cast<sockaddr_un&>(storage);
    to.sun_family = AF_UNIX;
    std::strncpy(to.sun_path, address.c_str() + 5, sizeof(to.sun_path) - 1);
    size = sizeof(to);
  } else {
    auto& to = reinterpret_cast<sockaddr_in&>(storage);
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int port = 0;
    EXPECT_TRUE(
        absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
    to.sin_port = htons(port);
    size = sizeof(to);
  }
  const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_GE(fd, 0) << std::strerror(errno);
  if (from != nullptr) {
    sockaddr_in local = {};
    local.sin_family = AF_INET;
    inet_pton(AF_INET, from, &local.sin_addr);
    bind(fd, reinterpret_cast<sockaddr*>(&local), sizeof(local));
  }
  if (connect(fd, reinterpret_cast<sockaddr*>(&storage), size) == 0) {
    return Socket(fd);
  }
  close(fd);
  return Socket(-1);
}

// The same connection with a high descriptor; an acceptor's bound is about low
// ones.
Socket OutOfTheWay(const Socket& socket) {
  return Socket(fcntl(socket.fd(), F_DUPFD, 500));
}

// Ends what listens at a port of this process, as a fault of the system would.
void ShutDownListeners() {
  for (int fd = 0; fd < 256; ++fd) {
    int listens = 0;
    socklen_t size = sizeof(listens);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 &&
        listens != 0) {
      shutdown(fd, SHUT_RDWR);
    }
  }
}

class AcceptorTest : public ::testing::Test {
 protected:
  AcceptorTest() {
    folder_ = ::testing::TempDir() + "acceptor_XXXXXX";
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
  }
  ~AcceptorTest() override {
    acceptor_.reset();
    std::filesystem::remove_all(folder_);
  }
  void Start(int max_connections = 100) {
    auto acceptor = Acceptor::Listen({.listen = {"127.0.0.1:0"},
                                      .unix_socket = folder_ + "/s.sock",
                                      .max_connections = max_connections});
    ASSERT_TRUE(acceptor.ok()) << acceptor.status();
    acceptor_ = *std::move(acceptor);
    acceptor_->Start([this](int, int fd, bool) {
      absl::MutexLock lock(&mu_);
      taken_.emplace_back(fd);
    });
  }
  std::string tcp() const { return acceptor_->addresses()[0]; }
  std::string unix_socket() const { return acceptor_->addresses()[1]; }
  // Waits for the nth connection.
  bool Await(size_t count) {
    const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return taken_.size() >= count;
    };
    absl::MutexLock lock(&mu_);
    return mu_.AwaitWithTimeout(absl::Condition(&enough), kPatience);
  }
  // Connects until that is not refused.
  static bool Reaches(const std::string& address) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (absl::Now() < deadline) {
      if (ConnectTo(address).fd() >= 0) return true;
      absl::SleepFor(absl::Milliseconds(20));
    }
    return false;
  }

  std::string folder_;
  absl::Mutex mu_;
  std::vector<Socket> taken_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Acceptor> acceptor_;
};

TEST_F(AcceptorTest, HandsConnectionsOver) {
  Start();

  const Socket first = ConnectTo(tcp());
  const Socket second = ConnectTo(unix_socket());

  EXPECT_THAT(tcp(), StartsWith("127.0.0.1:"));
  EXPECT_EQ(unix_socket(), "unix:" + folder_ + "/s.sock");
  EXPECT_TRUE(Await(2));
}

TEST_F(AcceptorTest, RefusesWhatIsNoAddress) {
  const std::pair<std::string, std::string> cases[] = {
      {"127.0.0.1", "is not host:port"},
      {"127.0.0.1:http", "is not host:port"},
      {"127.0.0.1:-1", "is not host:port"},
      {"127.0.0.1:99999", "port 99999 is not in 0 .. 65535"},
      {"::1:50051", "write an IPv6 address as [address]:port"},
      {"no.such.host.invalid:1", "no.such.host.invalid:1: "},
  };
  for (const auto& [address, message] : cases) {
    const absl::Status status = Acceptor::Listen({{address}, "", 1}).status();

    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
}

TEST_F(AcceptorTest, RefusesAnAddressThatIsTaken) {
  Start();

  const absl::Status status = Acceptor::Listen({{tcp()}, "", 1}).status();

  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("in use"));
}

TEST_F(AcceptorTest, ClosesConnectionsBeyondItsBound) {
  const int64_t refused = NumRefused(Refusal::kConnections);
  Start(/*max_connections=*/20);
  std::vector<Socket> clients;
  for (int i = 0; i < 40; ++i) clients.push_back(ConnectTo(tcp()));

  EXPECT_TRUE(clients.back().IsEnded());
  // Those that were accepted with it are handed over after that.
  absl::SleepFor(Acceptor::kPaceInterval);
  {
    absl::MutexLock lock(&mu_);
    const auto num_taken = static_cast<int>(taken_.size());
    EXPECT_EQ(acceptor_->num_connections(), num_taken);
    EXPECT_EQ(NumRefused(Refusal::kConnections) - refused, 40 - num_taken);
  }

  clients.clear();
  {
    absl::MutexLock lock(&mu_);
    EXPECT_LE(taken_.size(), 20);
    taken_.clear();
  }
  const Socket next = ConnectTo(tcp());
  EXPECT_TRUE(Await(1));
}

TEST_F(AcceptorTest, LeavesConnectionsForOtherPeers) {
  Start(/*max_connections=*/40);
  std::vector<Socket> clients;
  for (int i = 0; i < 60; ++i) {
    clients.push_back(OutOfTheWay(ConnectTo(tcp())));
  }
  EXPECT_TRUE(clients.back().IsEnded());
  EXPECT_TRUE(Await(16));
  absl::SleepFor(Acceptor::kPaceInterval);
  size_t num_taken = 0;
  {
    absl::MutexLock lock(&mu_);
    // Other descriptors of the process count as well.
    EXPECT_LE(taken_.size(), 32);
    EXPECT_GE(taken_.size(), 16);
    num_taken = taken_.size();
  }
  const Socket other = OutOfTheWay(ConnectTo(tcp(), "127.0.0.2"));
  const Socket local = OutOfTheWay(ConnectTo(unix_socket()));
  EXPECT_TRUE(Await(num_taken + 2));
}

TEST_F(AcceptorTest, RefusesAHostWithAllItsConnections) {
  Start();
  const Socket first = ConnectTo(tcp());
  const Socket second = ConnectTo(tcp());
  const Socket other = ConnectTo(tcp(), "127.0.0.2");
  const Socket local = ConnectTo(unix_socket());
  ASSERT_TRUE(Await(4));

  acceptor_->Refuse({PeerOf(first)});

  EXPECT_TRUE(first.IsEnded());
  EXPECT_TRUE(second.IsEnded());
  EXPECT_TRUE(IsOpen(other));
  EXPECT_TRUE(IsOpen(local));
  EXPECT_TRUE(ConnectTo(tcp()).IsEnded());
  const Socket next = ConnectTo(tcp(), "127.0.0.2");
  EXPECT_TRUE(Await(5));
}

TEST_F(AcceptorTest, HandsOverSoManyOfAHostInAWhile) {
  Start(/*max_connections=*/400);
  const absl::Time start = absl::Now();
  // More than two intervals may bring.
  std::vector<Socket> clients;
  for (int i = 0; i <= 2 * Acceptor::kPace; ++i) {
    clients.push_back(OutOfTheWay(ConnectTo(tcp())));
  }

  EXPECT_TRUE(Await(clients.size()));
  EXPECT_GE(absl::Now() - start, Acceptor::kPaceInterval);
}

// Whoever sends and hangs up leaves work behind, which would keep the others
// waiting.
TEST_F(AcceptorTest, DropsWhatItsPeerHasGivenUp) {
  Start();
  const Socket waits = ConnectTo(tcp());
  {
    const Socket client = ConnectTo(tcp());
    ASSERT_TRUE(Await(2));
    ASSERT_EQ(send(client.fd(), "12345", 5, 0), 5);
  }

  // Not by reading, which ThreadSanitizer takes for a race with connect().
  const auto state = [&] {
    absl::MutexLock lock(&mu_);
    tcp_info info = {};
    socklen_t size = sizeof(info);
    EXPECT_EQ(getsockopt(taken_[1].fd(), IPPROTO_TCP, TCP_INFO, &info, &size),
              0);
    return info.tcpi_state;
  };
  const absl::Time start = absl::Now();
  while (state() != TCP_CLOSE && absl::Now() - start < kPatience) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_EQ(state(), TCP_CLOSE);
  EXPECT_TRUE(IsOpen(waits));
}

TEST_F(AcceptorTest, NeverHandsOverWhatHungUpBefore) {
  Start(/*max_connections=*/400);
  std::vector<Socket> clients;
  // Some of them have to wait for their turn.
  for (int i = 0; i < 3 * Acceptor::kPace; ++i) {
    clients.push_back(OutOfTheWay(ConnectTo(tcp())));
  }
  clients.clear();
  const Socket last = ConnectTo(tcp());

  absl::SleepFor(5 * Acceptor::kPaceInterval);
  EXPECT_TRUE(IsOpen(last));
  absl::MutexLock lock(&mu_);
  EXPECT_LE(taken_.size(), 2 * Acceptor::kPace + 1);
}

TEST_F(AcceptorTest, RefusesAHostThatGivesUpTooMuch) {
  Start(/*max_connections=*/400);
  const Socket before = ConnectTo(tcp());
  std::vector<Socket> clients;
  for (int i = 0; i < 2 * Acceptor::kMaxGivenUp; ++i) {
    clients.push_back(OutOfTheWay(ConnectTo(tcp())));
  }
  ASSERT_TRUE(Await(1 + clients.size()));
  const std::string bytes(5000, 'x');
  for (const Socket& client : clients) {
    ASSERT_EQ(send(client.fd(), bytes.data(), bytes.size(), 0), 5000);
  }
  clients.clear();

  const absl::Time start = absl::Now();
  bool is_refused = false;
  while (!is_refused && absl::Now() - start < kPatience) {
    const Socket next = ConnectTo(tcp());
    absl::SleepFor(absl::Milliseconds(20));
    is_refused = !IsOpen(next);
  }
  EXPECT_TRUE(is_refused);
  EXPECT_TRUE(IsOpen(before));
  const Socket other = ConnectTo(tcp(), "127.0.0.2");
  absl::SleepFor(absl::Milliseconds(100));
  EXPECT_TRUE(IsOpen(other));
}

TEST_F(AcceptorTest, LetsAHostGiveUpALittle) {
  Start(/*max_connections=*/400);
  for (int i = 0; i < 3 * Acceptor::kMaxGivenUp; ++i) {
    const Socket client = ConnectTo(tcp());
    EXPECT_EQ(send(client.fd(), "12345", 5, MSG_NOSIGNAL), 5);
  }

  absl::SleepFor(5 * Acceptor::kPaceInterval);
  const Socket next = ConnectTo(tcp());
  absl::SleepFor(absl::Milliseconds(100));
  EXPECT_TRUE(IsOpen(next));
}

// gRPC's own listener never comes back from this.
TEST_F(AcceptorTest, GoesOnAfterDescriptorsRanOut) {
  Start();
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  std::vector<Socket> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back(socket(AF_INET, SOCK_STREAM, 0));
  }
  rlimit none = before;
  none.rlim_cur = clients.back().fd() + 1;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int port = 0;
  ASSERT_TRUE(absl::SimpleAtoi(tcp().substr(tcp().rfind(':') + 1), &port));
  to.sin_port = htons(port);
  for (const Socket& client : clients) {
    // Complete in the system; it cannot be accepted.
    ASSERT_EQ(
        connect(client.fd(), reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  }
  absl::SleepFor(absl::Milliseconds(300));

  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);

  EXPECT_TRUE(Await(clients.size()));
}

TEST_F(AcceptorTest, ListensAgainIfASocketDied) {
  Start();
  const std::string address = tcp();

  ShutDownListeners();

  EXPECT_TRUE(Reaches(address));
  EXPECT_TRUE(Reaches(unix_socket()));
  const Socket client = ConnectTo(address);
  const Socket local = ConnectTo(unix_socket());
  EXPECT_TRUE(Await(2));
}

TEST_F(AcceptorTest, ListensAgainIfThePathIsGone) {
  Start();

  std::filesystem::remove(folder_ + "/s.sock");

  EXPECT_TRUE(Reaches(unix_socket()));
}

TEST_F(AcceptorTest, ClosesTheConnectionOfOnePeer) {
  Start();
  const Socket first = ConnectTo(tcp());
  const Socket second = ConnectTo(tcp());
  const Socket local = ConnectTo(unix_socket());
  ASSERT_TRUE(Await(3));

  acceptor_->CloseConnections({PeerOf(first)});

  EXPECT_TRUE(first.IsEnded());
  EXPECT_TRUE(IsOpen(second));
  EXPECT_TRUE(IsOpen(local));
}

// The system tells no peer from another there.
TEST_F(AcceptorTest, ClosesAllOverTheUnixSocketAtOnce) {
  Start();
  const Socket remote = ConnectTo(tcp());
  const Socket first = ConnectTo(unix_socket());
  const Socket second = ConnectTo(unix_socket());
  ASSERT_TRUE(Await(3));

  acceptor_->CloseConnections({Peer()});

  EXPECT_TRUE(first.IsEnded());
  EXPECT_TRUE(second.IsEnded());
  EXPECT_TRUE(IsOpen(remote));
}

TEST_F(AcceptorTest, CountsWhatAPeerSent) {
  Start();
  const Socket first = ConnectTo(tcp());
  const Socket second = ConnectTo(tcp());
  ASSERT_TRUE(Await(2));

  ASSERT_EQ(send(first.fd(), "12345", 5, 0), 5);

  while (acceptor_->ReceivedBytes()[PeerOf(first)] == 0) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_THAT(
      acceptor_->ReceivedBytes(),
      UnorderedElementsAre(Pair(PeerOf(first), 5), Pair(PeerOf(second), 0)));
}

TEST_F(AcceptorTest, StopsWithoutTouchingConnections) {
  Start();
  const Socket client = ConnectTo(tcp());
  const Socket local = ConnectTo(unix_socket());
  ASSERT_TRUE(Await(2));

  acceptor_->Stop();

  EXPECT_EQ(ConnectTo(tcp()).fd(), -1);
  EXPECT_EQ(ConnectTo(unix_socket()).fd(), -1);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/s.sock"));
  EXPECT_TRUE(IsOpen(client));

  acceptor_->CloseConnections();

  EXPECT_TRUE(client.IsEnded());
  EXPECT_TRUE(local.IsEnded());
}

}  // namespace
}  // namespace actserve
