#include "server/listen/self_check.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace actserve {
namespace {

constexpr SelfCheck::Options kQuick = {.interval = absl::Milliseconds(10),
                                       .timeout = absl::Milliseconds(400),
                                       .patience = absl::Milliseconds(900)};
// Far more than it needs.
constexpr absl::Duration kPatience = absl::Seconds(30);

// Listens on a port of 127.0.0.1; accepts only where a test says so.
class Listening {
 public:
  Listening() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    bind(fd_, reinterpret_cast<sockaddr*>(&address), size);
    listen(fd_, 16);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    address_.assign(reinterpret_cast<const char*>(&address), size);
  }
  ~Listening() {
    // Also wakes up accept().
    shutdown(fd_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    close(fd_);
  }
  const std::string& address() const { return address_; }

  // Serves from now on: says `greeting`, reads until the end, and hangs up.
  // Without `reads` it goes no further than the greeting.
  void Serve(const std::string& greeting, bool reads = true) {
    thread_ = std::thread([this, greeting, reads] {
      std::vector<int> unread;
      int fd = -1;
      while ((fd = accept(fd_, nullptr, nullptr)) >= 0) {
        (void)send(fd, greeting.data(), greeting.size(), MSG_NOSIGNAL);
        char byte;
        while (reads && recv(fd, &byte, 1, 0) > 0) continue;
        if (reads) {
          close(fd);
        } else {
          unread.push_back(fd);
        }
      }
      for (const int each : unread) close(each);
    });
  }

 private:
  const int fd_;
  std::string address_;
  std::thread thread_;
};

TEST(SelfCheck, AnAnswerIsTheEnd) {
  for (const char* greeting : {"settings", ""}) {
    Listening server;
    EXPECT_FALSE(SelfCheck::Answers(server.address(), absl::Milliseconds(50)));
    server.Serve(greeting);
    EXPECT_TRUE(SelfCheck::Answers(server.address(), kPatience));
  }
}

TEST(SelfCheck, AGreetingIsNoAnswer) {
  Listening server;
  server.Serve("settings", /*reads=*/false);

  EXPECT_FALSE(SelfCheck::Answers(server.address(), absl::Milliseconds(500)));
}

TEST(SelfCheck, NobodyAnswersWhereNobodyListens) {
  std::optional<Listening> server(std::in_place);
  const std::string address = server->address();
  server.reset();

  EXPECT_FALSE(SelfCheck::Answers(address, kPatience));
}

TEST(SelfCheck, FindsAServerThatAcceptsNothing) {
  Listening server;
  absl::Notification dead;
  const SelfCheck check(kQuick, {server.address()}, [&] { dead.Notify(); });

  EXPECT_TRUE(dead.WaitForNotificationWithTimeout(kPatience));
}

TEST(SelfCheck, OneAddressThatAnswersIsEnough) {
  Listening silent, serving;
  serving.Serve("settings");
  std::atomic<bool> dead = false;
  const SelfCheck check(kQuick, {silent.address(), serving.address()},
                        [&] { dead = true; });

  absl::SleepFor(3 * kQuick.patience);

  EXPECT_FALSE(dead);
}

}  // namespace
}  // namespace actserve
