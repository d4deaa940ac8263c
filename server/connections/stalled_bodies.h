#ifndef ACTSERVE_SERVER_CONNECTIONS_STALLED_BODIES_H_
#define ACTSERVE_SERVER_CONNECTIONS_STALLED_BODIES_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "server/connections/open_connection.h"

namespace actserve {

// Finds the connections on which a request stopped to arrive. gRPC tells of no
// single request, so this looks whether any is unfinished: if that is so at
// every look of a period, in which the connection brought less than kMinBytes,
// it has stalled.
//
// Over a unix socket bytes are not known, and a busy connection may have an
// unfinished request at every look. There, requests that arrive begin a new
// period, if they are as many as were unfinished at its start.
//
// A stream that ended before its request arrived is held to be unfinished until
// its connection has no stream for once. So a connection that only watches, and
// once gave up half a request or called what does not exist, is closed without
// need.
//
// Not thread-safe.
class StalledBodies {
 public:
  // A tensor that arrives brings more in a period, over any network.
  static constexpr int64_t kMinBytes = int64_t{256} << 10;

  explicit StalledBodies(absl::Duration timeout) : timeout_(timeout) {}

  // The bytes that a connection has brought so far; nullopt if nobody knows.
  using Received = std::function<std::optional<int64_t>(const OpenConnection&)>;

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
    std::optional<int64_t> received_bytes;
  };

  const absl::Duration timeout_;
  absl::flat_hash_map<int64_t, State> states_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_CONNECTIONS_STALLED_BODIES_H_
