// The numbers and the rule by which a call is sent again. client/README.md says
// what callers see of them; client/python has the same in _retry.py.

#ifndef ACTSERVE_CLIENT_CPP_RETRY_H_
#define ACTSERVE_CLIENT_CPP_RETRY_H_

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "client/cpp/balance/chooser.h"
#include "grpcpp/support/status_code_enum.h"

namespace actserve {

// Rounds of attempts of one call, the first included; a round asks each replica
// once.
inline constexpr int kMaxAttempts = 7;
// The pause after the first round; each further one is twice as long, up to
// the maximum.
inline constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);
inline constexpr absl::Duration kMaxBackoff = absl::Milliseconds(2000);
// The largest part of a pause that chance adds or takes away, so that clients
// that failed together do not come back together.
inline constexpr double kBackoffJitter = 0.25;

// What the client knows of an attempt that failed.
struct FailedAttempt {
  grpc::StatusCode code = grpc::StatusCode::UNKNOWN;
  std::string message = "";
  // True if the error is the server's own: it has the trailer
  // kAnsweredTrailer. Otherwise gRPC or a proxy reports it.
  bool answered = false;
  // The pause that the trailer kPushbackTrailer asks for.
  std::optional<absl::Duration> pushback = std::nullopt;
};

// The pause before the call is sent to the same replica again, after its
// attempt in round `round` (from 1) failed; nothing if it must not be sent
// again. `chance` is drawn from [-1, 1]. The caller tells a CANCELLED of its
// own from others.
std::optional<absl::Duration> PauseBeforeRetry(const FailedAttempt& failed,
                                               int round, double chance);

// What the failure tells of the replica, unless the caller cancelled the call.
Outcome OutcomeOf(const FailedAttempt& failed);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_RETRY_H_
