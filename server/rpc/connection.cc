#include "server/rpc/connection.h"

#include "grpc/grpc_security.h"

namespace actserve {

uint64_t ConnectionOf(grpc::CallbackServerContext& context) {
  // gRPC makes one for each connection, encrypted or not.
  grpc_auth_context* connection = grpc_call_auth_context(context.c_call());
  const auto number = reinterpret_cast<uintptr_t>(connection);
  grpc_auth_context_release(connection);
  return number;
}

}  // namespace actserve
