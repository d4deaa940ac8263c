#include "server/connections/stalled_bodies.h"

#include <algorithm>
#include <utility>

namespace actserve {

std::vector<OpenConnection> StalledBodies::Find(
    const std::vector<OpenConnection>& connections, const Received& received,
    absl::Time now) {
  absl::flat_hash_map<int64_t, State> states;
  std::vector<OpenConnection> stalled;
  for (const OpenConnection& each : connections) {
    const auto it = states_.find(each.id);
    State state = it != states_.end() ? it->second : State();
    const int64_t num_without_request =
        each.streams_started - each.messages_received;
    if (each.num_streams() == 0) state.num_lost = num_without_request;
    const int64_t num_unfinished =
        std::min(each.num_streams(), num_without_request - state.num_lost);
    if (num_unfinished <= 0) {
      State idle;
      idle.num_lost = state.num_lost;
      states[each.id] = idle;
      continue;
    }
    const int64_t num_left = each.messages_received + each.streams_failed;
    const std::optional<int64_t> bytes = received(each);
    const bool goes_on =
        bytes && state.received_bytes
            ? *bytes - *state.received_bytes >= kMinBytes
            : num_left - state.num_left >= state.num_unfinished;
    if (state.start > now || goes_on) {
      state = {.num_lost = state.num_lost,
               .start = now,
               .num_unfinished = num_unfinished,
               .num_left = num_left,
               .received_bytes = bytes};
    } else if (now - state.start >= timeout_) {
      stalled.push_back(each);
    }
    states[each.id] = state;
  }
  states_ = std::move(states);
  return stalled;
}

}  // namespace actserve
