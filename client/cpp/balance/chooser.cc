#include "client/cpp/balance/chooser.h"

#include <algorithm>

namespace actserve {

Standing::Attempt Standing::Begin(absl::Time now) {
  ++num_in_flight_;
  Attempt attempt{now, pause_ > absl::ZeroDuration() && !on_trial_};
  on_trial_ |= attempt.is_trial;
  return attempt;
}

void Standing::End(const Attempt& attempt, Outcome outcome, absl::Time now,
                   absl::Duration pushback) {
  --num_in_flight_;
  if (attempt.is_trial) on_trial_ = false;
  if (outcome == Outcome::kDropped || attempt.begun < set_aside_at_) return;
  switch (outcome) {
    case Outcome::kDropped:
      break;
    case Outcome::kAnswered:
      pause_ = absl::ZeroDuration();
      set_aside_until_ = absl::InfinitePast();
      break;
    case Outcome::kFull:
      pause_ = absl::ZeroDuration();
      SetAside(now, std::min(pushback, kMaxFullSetAside));
      break;
    case Outcome::kLost:
      pause_ = std::clamp(2 * pause_, kFirstSetAside, kMaxSetAside);
      SetAside(now, pause_);
      break;
  }
}

void Standing::SetAside(absl::Time now, absl::Duration pause) {
  set_aside_at_ = now;
  set_aside_until_ = now + pause;
}

std::optional<size_t> Choose(absl::Span<const Standing* const> standings,
                             absl::Time now, size_t& turn) {
  const auto precedes = [now](const Standing& a, const Standing& b) {
    const bool is_available = a.IsAvailable(now);
    if (is_available != b.IsAvailable(now)) return is_available;
    return is_available ? a.num_in_flight() < b.num_in_flight()
                        : a.set_aside_at() < b.set_aside_at();
  };
  std::optional<size_t> best;
  for (size_t i = 0; i < standings.size(); ++i) {
    const size_t index = (turn + i) % standings.size();
    if (standings[index] == nullptr) continue;
    if (!best || precedes(*standings[index], *standings[*best])) best = index;
  }
  if (best) turn = *best + 1;
  return best;
}

}  // namespace actserve
