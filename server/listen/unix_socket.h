#ifndef ACTSERVE_SERVER_LISTEN_UNIX_SOCKET_H_
#define ACTSERVE_SERVER_LISTEN_UNIX_SOCKET_H_

#include <string>

#include "absl/status/status.h"

namespace actserve {

// Prepares `path` for listening: makes its directory, with mode 0700, if it is
// missing, and removes a stale socket.
//
//   InvalidArgument     not an absolute path, or too long for a socket
//   FailedPrecondition  the directory can be written to by others or is not
//                       ours, so a client could not trust the socket; or a
//                       server listens there already; or something that is
//                       no socket is there
absl::Status PrepareUnixSocket(const std::string& path);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_LISTEN_UNIX_SOCKET_H_
