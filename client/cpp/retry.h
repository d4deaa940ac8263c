// The numbers and the rule by which a call is sent again. client/README.md says
// what callers see of them; client/python has the same in _retry.py.

#ifndef ACTSERVE_CLIENT_CPP_RETRY_H_
#define ACTSERVE_CLIENT_CPP_RETRY_H_

#include <optional>

#include "absl/time/time.h"
#include "grpcpp/support/status_code_enum.h"

namespace actserve {

// Attempts of one call, the first included.
inline constexpr int kMaxAttempts = 7;
// The pause after the first attempt; each further one is twice as long, up to
// the maximum.
inline constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);
inline constexpr absl::Duration kMaxBackoff = absl::Milliseconds(2000);
// The largest part of a pause that chance adds or takes away, so that clients
// that failed together do not come back together.
inline constexpr double kBackoffJitter = 0.25;

// The pause before the call is sent again, after attempt `attempt` (from 1)
// failed with `code`; nothing if it must not be sent again. `pushback` is what
// the server asked for, `chance` is drawn from [-1, 1].
std::optional<absl::Duration> PauseBeforeRetry(
    grpc::StatusCode code, std::optional<absl::Duration> pushback, int attempt,
    double chance);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_RETRY_H_
