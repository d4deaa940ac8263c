#ifndef ACTSERVE_SERVER_CONNECTIONS_CONNECTION_GUARD_H_
#define ACTSERVE_SERVER_CONNECTIONS_CONNECTION_GUARD_H_

#include <cstdint>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "server/connections/frames_without_calls.h"
#include "server/connections/open_connection.h"
#include "server/connections/open_streams.h"
#include "server/connections/stalled_bodies.h"
#include "server/listen/acceptor.h"
#include "server/metrics/refusals.h"

namespace actserve {

// Closes connections that hold what reaches no code of ours and what gRPC 1.51
// does not bound:
//
//   * more streams than they may: gRPC holds only those clients to the limit
//     that acknowledge it, and a stream whose message does not come takes some
//     16 to 24 KiB that gRPC's quota does not hold back. One connection may
//     have `max_streams`; all together may have as many as fit into
//     `max_bytes`: beyond that the connections of the peer with the most go
//     first. Their hosts lose all their connections and are refused for a
//     while. It looks when the process has grown, and for a minute after it
//     found some, at most ten times a second.
//   * frames that belong to no call: see FramesWithoutCalls. Their hosts are
//     refused as well. It looks once a second while the process is busy.
//   * requests that stopped to arrive for `body_timeout`: see StalledBodies. Of
//     streams it ends only the call: see OpenStreams.
class ConnectionGuard {
 public:
  struct Options {
    int64_t max_streams = 0;
    int64_t max_bytes = 0;
    absl::Duration body_timeout = absl::InfiniteDuration();
  };

  // Works on a thread of its own until it is destroyed, which must be before
  // `acceptor` stops. `streams` must outlive it.
  ConnectionGuard(const Options& options, Acceptor* acceptor,
                  OpenStreams* streams);
  ~ConnectionGuard();

  // What a stream costs, with its call in gRPC and 8 KiB of metadata.
  static constexpr int64_t kStreamBytes = int64_t{24} << 10;

  // Those that must go because of their streams.
  static std::vector<OpenConnection> WithTooManyStreams(
      std::vector<OpenConnection> connections, const Options& options);

 private:
  void Run();
  void LookAtStreams(absl::Time now);
  void LookAtBodies(absl::Time now);
  void LookAtFrames(absl::Time now);
  // gRPC does not tell one connection over a unix socket from another, so all
  // over unix sockets are closed for any of them.
  void Close(const char* event, Refusal reason,
             const std::vector<OpenConnection>& connections) const;
  std::vector<OpenConnection> FindStalled();

  const Options options_;
  Acceptor& acceptor_;
  OpenStreams& streams_;
  absl::Notification stopped_;
  // Of the thread.
  int64_t seen_bytes_;
  // Memory that a burst has left lets the next one pass without growth.
  absl::Time alert_until_ = absl::InfinitePast();
  StalledBodies bodies_;
  absl::Time looked_at_bodies_;
  FramesWithoutCalls frames_;
  absl::Time looked_at_frames_;
  absl::Duration computed_;  // by the process, at that time
  absl::Duration frames_interval_;
  std::thread thread_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_CONNECTIONS_CONNECTION_GUARD_H_
