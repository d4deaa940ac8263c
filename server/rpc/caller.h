#ifndef ACTSERVE_SERVER_RPC_CALLER_H_
#define ACTSERVE_SERVER_RPC_CALLER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "grpcpp/server_context.h"
#include "server/identity/authenticator.h"
#include "server/identity/roles.h"
#include "server/scheduling/caller_id.h"

namespace actserve {

// Returns who sent a call. The peer is the address without its port, of IPv6
// the first 64 bits, for a host has all addresses below them; all of a unix
// socket are one peer, because its folder lets only one user in. Behind a proxy
// all callers are that proxy.
//
// Allocates.
CallerId CallerOf(grpc::CallbackServerContext& context);

// The same for a caller that may call a method of `role`, within its tenant's
// quota of requests; its peer is then the tenant. A null `authenticator` lets
// everyone in.
// Returns what Authenticator::Authorize() does.
absl::StatusOr<CallerId> Admit(grpc::CallbackServerContext& context, Role role,
                               const Authenticator* authenticator);

// OK if the caller may ask for the health of the server.
//   Unauthenticated  as Authenticator::Authenticate()
absl::Status AdmitHealth(grpc::CallbackServerContext& context,
                         const Authenticator* authenticator);

// The peer of an address as gRPC writes it: "ipv4:127.0.0.1:4711",
// "ipv6:%5B::1%5D:4711", "unix:".
uint64_t PeerOf(absl::string_view address);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_CALLER_H_
