#include "server/listen/self_check.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/time/clock.h"

namespace actserve {
namespace {

// Longer than a connection waits to be handed over, but for a flood.
constexpr absl::Duration kHandedOver = absl::Milliseconds(200);

// Waits until `fd` is ready for `events`, or has ended.
bool Await(int fd, short events, absl::Time deadline) {
  while (true) {
    pollfd polled = {fd, events, 0};
    const absl::Duration left = deadline - absl::Now();
    const int count = poll(&polled, 1,
                           static_cast<int>(std::max<int64_t>(
                               0, absl::ToInt64Milliseconds(left))));
    if (count > 0) return true;
    if (count == 0 || errno != EINTR) return false;
  }
}

bool IsConnected(int fd, const std::string& address, absl::Time deadline) {
  if (connect(fd, reinterpret_cast<const sockaddr*>(address.data()),
              static_cast<socklen_t>(address.size())) == 0) {
    return true;
  }
  if (errno != EINPROGRESS || !Await(fd, POLLOUT, deadline)) return false;
  int error = 0;
  socklen_t size = sizeof(error);
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

// Whether the other side closes the connection, not by a reset.
bool Ends(int fd, absl::Time deadline) {
  char bytes[256];
  while (Await(fd, POLLIN, deadline)) {
    const ssize_t received = recv(fd, bytes, sizeof(bytes), 0);
    if (received == 0) return true;
    if (received < 0 && errno != EAGAIN && errno != EINTR) return false;
  }
  return false;
}

}  // namespace

bool SelfCheck::Answers(const std::string& address, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  const int family =
      reinterpret_cast<const sockaddr*>(address.data())->sa_family;
  const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return true;  // no descriptor left: says nothing of the server
  bool answers = false;
  if (IsConnected(fd, address, deadline)) {
    // Whoever hangs up sooner is dropped before gRPC sees him.
    Await(fd, 0, std::min(deadline, absl::Now() + kHandedOver));
    shutdown(fd, SHUT_WR);
    answers = Ends(fd, deadline);
  }
  close(fd);
  return answers;
}

SelfCheck::SelfCheck(const Options& options, std::vector<std::string> addresses,
                     std::function<void()> on_dead)
    : options_(options),
      addresses_(std::move(addresses)),
      on_dead_(std::move(on_dead)),
      thread_([this] { Run(); }) {}

SelfCheck::~SelfCheck() {
  stopped_.Notify();
  thread_.join();
}

void SelfCheck::Run() {
  const auto answers = [this](const std::string& address) {
    return Answers(address, options_.timeout);
  };
  // Counted in calls, so that a process that was stopped meanwhile counts one.
  absl::Duration silence;
  while (!stopped_.WaitForNotificationWithTimeout(options_.interval)) {
    const absl::Time start = absl::Now();
    if (std::ranges::any_of(addresses_, answers)) {
      silence = absl::ZeroDuration();
      continue;
    }
    silence += options_.interval +
               std::min(absl::Now() - start,
                        options_.timeout * static_cast<int>(addresses_.size()));
    if (silence < options_.patience) continue;
    on_dead_();
    return;
  }
}

}  // namespace actserve
