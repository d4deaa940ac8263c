// Looks up the addresses behind names of hosts, again and again.

#ifndef ACTSERVE_CLIENT_CPP_BALANCE_RESOLVER_H_
#define ACTSERVE_CLIENT_CPP_BALANCE_RESOLVER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace actserve {

struct HostPort {
  // A name, or an address without brackets.
  std::string host;
  std::string port;
};

// Returns the addresses of a host as targets of gRPC, in the order of the
// system and each once: "ipv4:10.0.0.1:50051", "ipv6:[::1]:50051".
//   Unavailable  there is none, or nobody tells
using LookUp =
    std::function<absl::StatusOr<std::vector<std::string>>(const HostPort&)>;

// By the system: getaddrinfo(). May take as long as that.
absl::StatusOr<std::vector<std::string>> LookUpBySystem(const HostPort& name);

// When names are looked up again. Not thread-safe.
class LookUpSchedule {
 public:
  // The age at which an answer is asked for again.
  static constexpr absl::Duration kPeriod = absl::Seconds(30);
  // The same after a failure, of a replica or of a lookup.
  static constexpr absl::Duration kPeriodAfterFailure = absl::Seconds(1);

  bool IsDue(absl::Time now) const {
    return !is_running_ &&
           now - begun_ >= (has_failed_ ? kPeriodAfterFailure : kPeriod);
  }
  void Begin(absl::Time now);
  void End(bool ok);
  // A replica did not answer: it may have moved.
  void Fail() { has_failed_ = true; }

 private:
  absl::Time begun_ = absl::InfinitePast();
  bool is_running_ = false;
  bool has_failed_ = false;
};

// Knows the addresses of several names. A lookup runs on a thread of its own,
// which may outlive this object. Thread-safe.
class Resolver {
 public:
  // One for each name; null until the name was found for the first time. A
  // lookup that fails leaves the answer before it.
  using Answers = std::vector<std::shared_ptr<const std::vector<std::string>>>;

  Resolver(std::vector<HostPort> names, LookUp look_up);

  // The last answers. Begins a lookup if one is due, and waits for none.
  Answers Current(absl::Time now);
  // How the last lookup of a name without an answer failed; OK if there is no
  // such name, or no lookup has ended yet.
  absl::Status status() const;
  // Waits for the end of a lookup that runs now, at most `timeout`. Returns
  // whether it ended.
  bool AwaitFor(absl::Duration timeout);
  // A replica did not answer.
  void Fail();

 private:
  struct State;
  static void Run(const std::shared_ptr<State>& state);

  const std::shared_ptr<State> state_;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_BALANCE_RESOLVER_H_
