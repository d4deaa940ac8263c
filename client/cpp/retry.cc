#include "client/cpp/retry.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace actserve {
namespace {

// Limits on sizes: gRPC's own, here or at the server, and those of a proxy
// (HTTP's 413 and 431). None sets a trailer, and no pause cures them; only the
// text tells.
bool IsTooLarge(absl::string_view message) {
  return absl::StrContains(message, "message larger than max") ||
         absl::StrContains(message, "metadata size exceeds") ||
         absl::StrContains(message, "header with status: 413") ||
         absl::StrContains(message, "header with status: 431");
}

bool MayHelp(const FailedAttempt& failed) {
  switch (failed.code) {
    case grpc::StatusCode::UNAVAILABLE:
      return true;
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::INTERNAL:
      return !failed.answered && !IsTooLarge(failed.message);
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      // A full queue comes with a pushback; a limit without.
      return failed.pushback ||
             (!failed.answered && !IsTooLarge(failed.message));
    default:
      return false;
  }
}

}  // namespace

std::optional<absl::Duration> PauseBeforeRetry(const FailedAttempt& failed,
                                               int round, double chance) {
  if (!MayHelp(failed)) return std::nullopt;
  if (failed.pushback) return failed.pushback;
  absl::Duration backoff = kFirstBackoff;
  for (int i = 1; i < round && backoff < kMaxBackoff; ++i) backoff *= 2;
  return std::min(backoff, kMaxBackoff) * (1 + kBackoffJitter * chance);
}

Outcome OutcomeOf(const FailedAttempt& failed) {
  if (!MayHelp(failed)) {
    return failed.code == grpc::StatusCode::DEADLINE_EXCEEDED &&
                   !failed.answered
               ? Outcome::kLost
               : Outcome::kAnswered;
  }
  return failed.code == grpc::StatusCode::RESOURCE_EXHAUSTED && failed.pushback
             ? Outcome::kFull
             : Outcome::kLost;
}

}  // namespace actserve
