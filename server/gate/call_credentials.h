#ifndef ACTSERVE_SERVER_GATE_CALL_CREDENTIALS_H_
#define ACTSERVE_SERVER_GATE_CALL_CREDENTIALS_H_

#include "grpcpp/server_context.h"
#include "server/identity/authenticator.h"

namespace actserve {

// Reads what a call brings to identify its caller. The result refers to the
// context.
Authenticator::Credentials CredentialsOf(grpc::ServerContextBase& context);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_GATE_CALL_CREDENTIALS_H_
