#ifndef ACTSERVE_SERVER_RPC_CONNECTION_H_
#define ACTSERVE_SERVER_RPC_CONNECTION_H_

#include <cstdint>

#include "grpcpp/server_context.h"

namespace actserve {

// Returns a number for the connection of a call: equal for all its calls, and
// different from every other open connection. The peer's address would not do,
// because all peers of a unix socket have the same one.
uint64_t ConnectionOf(grpc::CallbackServerContext& context);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_CONNECTION_H_
