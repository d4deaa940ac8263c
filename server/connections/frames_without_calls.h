#ifndef ACTSERVE_SERVER_CONNECTIONS_FRAMES_WITHOUT_CALLS_H_
#define ACTSERVE_SERVER_CONNECTIONS_FRAMES_WITHOUT_CALLS_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/connections/open_connection.h"
#include "server/listen/peer.h"

namespace actserve {

// Finds connections that send frames which belong to no call: pings, settings,
// empty frames. gRPC reads as many of them as come, before it reads what others
// send, and counts none. A client of gRPC sends less than a kilobyte a second
// without a call. Not thread-safe.
class FramesWithoutCalls {
 public:
  // Between two calls of Find(), of one connection.
  static constexpr int64_t kMaxBytes = int64_t{256} << 10;

  // Returns those of `connections` that sent more since the last time, and had
  // no call meanwhile. `received` has the bytes that each peer has sent so far;
  // one that is not there is left alone.
  std::vector<OpenConnection> Find(
      const std::vector<OpenConnection>& connections,
      const absl::flat_hash_map<Peer, int64_t>& received);

 private:
  struct Seen {
    int64_t streams_started = 0;
    int64_t bytes = 0;
  };
  absl::flat_hash_map<int64_t, Seen> seen_;  // by id
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_CONNECTIONS_FRAMES_WITHOUT_CALLS_H_
