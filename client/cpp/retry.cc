#include "client/cpp/retry.h"

#include <algorithm>

namespace actserve {

std::optional<absl::Duration> PauseBeforeRetry(
    grpc::StatusCode code, std::optional<absl::Duration> pushback, int attempt,
    double chance) {
  // A full queue comes with a pushback; a limit, which no pause cures, without.
  if (code == grpc::StatusCode::RESOURCE_EXHAUSTED) return pushback;
  if (code != grpc::StatusCode::UNAVAILABLE) return std::nullopt;
  if (pushback) return pushback;
  absl::Duration backoff = kFirstBackoff;
  for (int i = 1; i < attempt && backoff < kMaxBackoff; ++i) backoff *= 2;
  return std::min(backoff, kMaxBackoff) * (1 + kBackoffJitter * chance);
}

}  // namespace actserve
