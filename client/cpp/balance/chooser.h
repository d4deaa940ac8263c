// Chooses the replica for an attempt: the one with the fewest attempts in
// flight. One that did not answer is set aside for a while, and tried again by
// one attempt after it.
//
// client/README.md states the rule, client/python has the same in _chooser.py,
// and client/testdata/choices.json holds both to one table.

#ifndef ACTSERVE_CLIENT_CPP_BALANCE_CHOOSER_H_
#define ACTSERVE_CLIENT_CPP_BALANCE_CHOOSER_H_

#include <cstddef>
#include <optional>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace actserve {

// For how long a replica that did not answer is set aside; twice as long after
// each further time, up to the maximum.
inline constexpr absl::Duration kFirstSetAside = absl::Milliseconds(100);
inline constexpr absl::Duration kMaxSetAside = absl::Seconds(10);
// The most of a pause asked for by a full replica that it is set aside for.
inline constexpr absl::Duration kMaxFullSetAside = absl::Seconds(2);

// How an attempt ended.
enum class Outcome {
  // The replica answered, with a result or an error.
  kAnswered,
  // It did not: UNAVAILABLE, or the call was lost.
  kLost,
  // It asked for a pause.
  kFull,
  // The caller cancelled the call. Says nothing about the replica.
  kDropped,
};

// What a client knows of one replica. Not thread-safe.
class Standing {
 public:
  struct Attempt {
    absl::Time begun;
    // True if it finds out whether the replica answers again.
    bool is_trial = false;
  };

  Attempt Begin(absl::Time now);
  // Ends what Begin() returned. `pushback` is the pause that a full replica
  // asked for. An attempt that began before the replica was set aside does not
  // set it aside for longer, and does not bring it back.
  void End(const Attempt& attempt, Outcome outcome, absl::Time now,
           absl::Duration pushback = absl::ZeroDuration());

  int num_in_flight() const { return num_in_flight_; }
  absl::Time set_aside_at() const { return set_aside_at_; }
  // False while it is set aside, and after that while a trial is in flight.
  bool IsAvailable(absl::Time now) const {
    return now >= set_aside_until_ && !on_trial_;
  }

 private:
  void SetAside(absl::Time now, absl::Duration pause);

  int num_in_flight_ = 0;
  // The last pause; zero for a replica that answers.
  absl::Duration pause_ = absl::ZeroDuration();
  absl::Time set_aside_at_ = absl::InfinitePast();
  absl::Time set_aside_until_ = absl::InfinitePast();
  bool on_trial_ = false;
};

// Returns the index of the replica to try: of those available, one with the
// fewest attempts in flight; if none is, the one set aside the longest ago.
// Equal ones take turns: `turn`, any number at first, is where to begin, and
// becomes the index behind the result. Null: not to be chosen. Returns nothing
// if all are null.
std::optional<size_t> Choose(absl::Span<const Standing* const> standings,
                             absl::Time now, size_t& turn);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_BALANCE_CHOOSER_H_
