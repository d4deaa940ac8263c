#ifndef ACTSERVE_SERVER_CONNECTIONS_OPEN_STREAMS_H_
#define ACTSERVE_SERVER_CONNECTIONS_OPEN_STREAMS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/connections/open_connection.h"
#include "server/listen/peer.h"

namespace actserve {

// The calls that consist of many messages each way, so that those whose client
// has stopped can be ended. It has stopped if, for as long as the timeout, the
// call waited for it at every look, and moved less than
// StalledBodies::kMinBytes.
//
// Thread-safe.
class OpenStreams {
 public:
  // One call. Its members are quick.
  class Stream {
   public:
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    // A message arrived.
    void CountMessage(int64_t bytes);
    // Bytes were sent.
    void CountSent(int64_t bytes) { moved_bytes_ += bytes; }
    // Whether the call can go on only if its client sends or reads.
    void set_waits_for_client(bool waits) { waits_for_client_ = waits; }

   private:
    friend class OpenStreams;
    Stream(OpenStreams* streams, Peer peer, std::function<void()> end)
        : streams_(*streams), peer_(std::move(peer)), end_(std::move(end)) {}

    OpenStreams& streams_;
    const Peer peer_;
    const std::function<void()> end_;
    std::atomic<int64_t> moved_bytes_ = 0;
    std::atomic<int64_t> num_messages_ = 0;
    std::atomic<bool> waits_for_client_ = true;
    // Of EndStalled().
    absl::Time period_start_ = absl::InfiniteFuture();
    int64_t period_start_bytes_ = 0;
  };

  explicit OpenStreams(absl::Duration timeout) : timeout_(timeout) {}

  // A new call of `peer`. `end` ends it: it must be quick, must not destroy the
  // stream, and is not called once that is destroyed, which must be before this
  // object is.
  std::unique_ptr<Stream> Open(Peer peer, std::function<void()> end);

  // Ends the calls that have stalled by `now`, and returns how many. Call it a
  // few times in the timeout.
  int EndStalled(absl::Time now);

  // Takes the messages after the first of each call off those that
  // `connections`, which are all, have received: then every call has one.
  // Connections over a unix socket stay as they are: nobody knows which of them
  // a call came over.
  void Discount(std::vector<OpenConnection>& connections);

 private:
  const absl::Duration timeout_;
  absl::Mutex mutex_;
  absl::flat_hash_set<Stream*> streams_ ABSL_GUARDED_BY(mutex_);
  // By peer, as long as its connection lives.
  absl::flat_hash_map<Peer, int64_t> later_messages_ ABSL_GUARDED_BY(mutex_);
};

// The other end of a call's connection, as gRPC writes it:
// "ipv4:127.0.0.1:4711", "ipv6:%5B::1%5D:4711". Peer() for anything else.
Peer PeerOfUri(absl::string_view uri);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_CONNECTIONS_OPEN_STREAMS_H_
