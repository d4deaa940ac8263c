#ifndef ACTSERVE_SERVER_LISTEN_UNIX_SOCKET_H_
#define ACTSERVE_SERVER_LISTEN_UNIX_SOCKET_H_

#include <sys/socket.h>

#include <string>

#include "absl/status/status.h"

namespace actserve {

// OK if a socket may be at `path`. Makes its directory, with mode 0700, if it
// is missing.
//   InvalidArgument     not an absolute path, or too long for a socket
//   FailedPrecondition  the directory can be written to by others or is not
//                       ours, so a client could not trust the socket
absl::Status CheckUnixSocket(const std::string& path);

// Prepares `path` for listening with a socket of `type`: checks it, and removes
// a stale socket.
//   InvalidArgument     as above
//   FailedPrecondition  as above; or a server listens there already; or
//                       something that is no socket is there
absl::Status PrepareUnixSocket(const std::string& path, int type = SOCK_STREAM);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_LISTEN_UNIX_SOCKET_H_
