#ifndef ACTSERVE_SERVER_LISTEN_SELF_CHECK_H_
#define ACTSERVE_SERVER_LISTEN_SELF_CHECK_H_

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace actserve {

// Calls its own server, as a client would: connects to each address, says that
// it has nothing to say, and waits until the other side closes the connection
// too. That proves that it was accepted and that somebody reads it; what the
// other side says before proves nothing, for the thread that accepts says it.
// Nor does a reset: the Acceptor drops so what nobody reads.
//
// The Acceptor opens a socket again that listens no more. This finds what it
// cannot see: that nobody accepts, or nobody reads.
class SelfCheck {
 public:
  struct Options {
    absl::Duration interval = absl::Seconds(2);
    // How long one call may take.
    absl::Duration timeout = absl::Seconds(2);
    // The server is dead if no address answers for so long: far longer than a
    // machine under load keeps it waiting.
    absl::Duration patience = absl::Seconds(30);
  };

  // Each of `addresses` is a sockaddr, as ListeningSocket has it. Calls
  // `on_dead` at most once, on a thread of its own.
  SelfCheck(const Options& options, std::vector<std::string> addresses,
            std::function<void()> on_dead);
  ~SelfCheck();

  // Whether somebody answers at `address` within `timeout`.
  static bool Answers(const std::string& address, absl::Duration timeout);

 private:
  void Run();

  const Options options_;
  const std::vector<std::string> addresses_;
  const std::function<void()> on_dead_;
  absl::Notification stopped_;
  std::thread thread_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_LISTEN_SELF_CHECK_H_
