// Where a client finds its server.

#ifndef ACTSERVE_CLIENT_CPP_ADDRESS_H_
#define ACTSERVE_CLIENT_CPP_ADDRESS_H_

#include <string>
#include <string_view>

namespace actserve {

inline constexpr std::string_view kDefaultTcpAddress = "127.0.0.1:50051";

// The unix socket that actserved listens on unless told otherwise:
// $XDG_RUNTIME_DIR/actserve/actserve.sock, and without that variable
// /tmp/actserve-<user id>/actserve.sock. The server's flag has the same rule.
std::string DefaultSocketPath();

// What to connect to: `address` if it is not empty ("host:port" or
// "unix:PATH"), else $ACTSERVE_ADDRESS if that is not empty, else the default
// socket if something is there, else 127.0.0.1:50051.
std::string ResolveAddress(std::string_view address);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_ADDRESS_H_
