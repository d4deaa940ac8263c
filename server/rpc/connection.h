#ifndef ACTSERVE_SERVER_RPC_CONNECTION_H_
#define ACTSERVE_SERVER_RPC_CONNECTION_H_

#include <cstdint>

#include "grpcpp/server_context.h"

namespace actserve {

// A number for the connection that a call came by: equal for its calls, and
// of no other connection that is open at the same time. The peer's address
// would not do, for all peers of a unix socket have the same.
uint64_t ConnectionOf(grpc::CallbackServerContext& context);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_CONNECTION_H_
