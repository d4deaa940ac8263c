#ifndef ACTSERVE_SERVER_CONNECTIONS_OPEN_CONNECTION_H_
#define ACTSERVE_SERVER_CONNECTIONS_OPEN_CONNECTION_H_

#include <cstdint>
#include <vector>

#include "server/listen/peer.h"

namespace actserve {

// What gRPC knows of a connection to a server of this process, by its channelz.
// The counts begin with the connection.
struct OpenConnection {
  int64_t id = 0;  // of no other connection, ever
  Peer peer;
  // A stream that its peer gave up failed.
  int64_t streams_started = 0;
  int64_t streams_succeeded = 0;
  int64_t streams_failed = 0;
  int64_t messages_received = 0;  // whole ones

  int64_t num_streams() const {
    return streams_started - streams_succeeded - streams_failed;
  }
};

// All of them. Takes some 30 us each.
std::vector<OpenConnection> OpenConnections();

}  // namespace actserve

#endif  // ACTSERVE_SERVER_CONNECTIONS_OPEN_CONNECTION_H_
