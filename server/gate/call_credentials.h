#ifndef ACTSERVE_SERVER_GATE_CALL_CREDENTIALS_H_
#define ACTSERVE_SERVER_GATE_CALL_CREDENTIALS_H_

#include <string>

#include "grpcpp/server_context.h"
#include "server/identity/authenticator.h"

namespace actserve {

// Reads what a call brings to identify its caller. `peer` is the address that
// gRPC gives it. The result refers to the context.
Authenticator::Credentials CredentialsOf(const grpc::ServerContextBase& context,
                                         absl::string_view peer,
                                         const grpc_auth_context* connection);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_GATE_CALL_CREDENTIALS_H_
