#ifndef ACTSERVE_SERVER_CONNECTIONS_STALLED_BODIES_H_
#define ACTSERVE_SERVER_CONNECTIONS_STALLED_BODIES_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "server/connections/open_connection.h"

namespace actserve {

// Finds the connections on which a request stopped to arrive. gRPC tells of no
// single request, so this counts: of the requests that were unfinished when a
// period began, one is unfinished at its end for sure if fewer arrived
// meanwhile. A connection that also brought less than kMinBytes has stalled.
//
// A stream that ended before its request arrived is held to be unfinished until
// its connection has no stream for once. So a connection that only watches, and
// once gave up half a request, is closed without need.
//
// Not thread-safe.
class StalledBodies {
 public:
  // A tensor that arrives brings more in a period, over any network.
  static constexpr int64_t kMinBytes = int64_t{1} << 20;

  explicit StalledBodies(absl::Duration timeout) : timeout_(timeout) {}

  // The bytes that a connection has brought so far. Not of a unix socket, where
  // 0 is right: a local peer does not need the time.
  using Received = std::function<int64_t(const OpenConnection&)>;

  // Returns those of `connections`, which are all, that have stalled for as
  // long as the timeout by `now`. Call it a few times in that period. Asks
  // `received` only about those with an unfinished request.
  std::vector<OpenConnection> Find(
      const std::vector<OpenConnection>& connections, const Received& received,
      absl::Time now);

 private:
  struct State {
    // Streams that ended, or had ended at the time of the last look without
    // any, before their request arrived.
    int64_t num_lost = 0;
    // The period.
    absl::Time start = absl::InfiniteFuture();
    int64_t num_unfinished = 0;
    int64_t num_left = 0;
    int64_t received_bytes = 0;
  };

  const absl::Duration timeout_;
  absl::flat_hash_map<int64_t, State> states_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_CONNECTIONS_STALLED_BODIES_H_
