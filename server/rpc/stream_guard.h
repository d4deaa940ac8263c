#ifndef ACTSERVE_SERVER_RPC_STREAM_GUARD_H_
#define ACTSERVE_SERVER_RPC_STREAM_GUARD_H_

#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"

namespace actserve {

// Closes connections that hold more streams than they may. gRPC 1.51 holds only
// those clients to the limit that acknowledge it, and a stream whose message
// does not come reaches no code of ours, while it takes some 16 KiB that gRPC's
// quota does not hold back.
//
// It looks at the connections only when the process has grown, and at most ten
// times a second. Two rules: a connection may have `max_streams`; all together
// may have as many as fit into `max_bytes`, and those with the most are closed.
class StreamGuard {
 public:
  struct Options {
    int64_t max_streams = 0;
    int64_t max_bytes = 0;
  };
  // Closes the TCP connection of a peer: 4 or 16 bytes of address, and a port.
  using Close = std::function<void(const std::string& address, int port)>;

  // Calls `close` on a thread of its own until it is destroyed.
  StreamGuard(const Options& options, Close close);
  ~StreamGuard();

  // What a stream costs, with its call in gRPC.
  static constexpr int64_t kStreamBytes = int64_t{16} << 10;

  // An open connection over TCP.
  struct Connection {
    std::string address;
    int port = 0;
    int64_t num_streams = 0;
  };
  // The ones that must go.
  static std::vector<Connection> ToClose(std::vector<Connection> connections,
                                         const Options& options);

 private:
  void Run();

  const Options options_;
  const Close close_;
  absl::Notification stopped_;
  std::thread thread_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_STREAM_GUARD_H_
