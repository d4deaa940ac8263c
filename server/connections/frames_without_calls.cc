#include "server/connections/frames_without_calls.h"

#include <utility>

namespace actserve {

std::vector<OpenConnection> FramesWithoutCalls::Find(
    const std::vector<OpenConnection>& connections,
    const absl::flat_hash_map<Peer, int64_t>& received) {
  std::vector<OpenConnection> found;
  absl::flat_hash_map<int64_t, Seen> seen;
  for (const OpenConnection& each : connections) {
    const auto bytes = received.find(each.peer);
    if (bytes == received.end()) continue;
    // Of one that is new: nothing.
    const Seen& before = seen_[each.id];
    if (each.num_streams() == 0 &&
        each.streams_started == before.streams_started &&
        bytes->second - before.bytes > kMaxBytes) {
      found.push_back(each);
    }
    seen[each.id] = {each.streams_started, bytes->second};
  }
  seen_ = std::move(seen);
  return found;
}

}  // namespace actserve
