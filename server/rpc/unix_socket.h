#ifndef ACTSERVE_SERVER_RPC_UNIX_SOCKET_H_
#define ACTSERVE_SERVER_RPC_UNIX_SOCKET_H_

#include <string>

#include "absl/status/status.h"

namespace actserve {

// Makes `path` ready to be listened on: its directory exists (made with mode
// 0700 if it was missing) and no stale socket is in the way.
//
//   InvalidArgument     not an absolute path, or too long for a socket
//   FailedPrecondition  the directory can be written to by others or is not
//                       ours, so a client could not trust the socket; or a
//                       server listens there already; or something that is
//                       no socket is there
absl::Status PrepareUnixSocket(const std::string& path);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_UNIX_SOCKET_H_
