#include "server/rpc/caller.h"

#include <string>

#include "absl/hash/hash.h"
#include "absl/strings/match.h"
#include "grpc/grpc_security.h"
#include "server/connections/open_streams.h"
#include "server/gate/call_credentials.h"
#include "server/identity/tenant.h"
#include "server/identity/unix_peer.h"
#include "server/listen/peer.h"

namespace actserve {
namespace {

// A number of the connection of a call: gRPC keeps an object for each,
// encrypted or not.
uint64_t ConnectionOf(grpc::CallbackServerContext& context) {
  grpc_auth_context* const connection =
      grpc_call_auth_context(context.c_call());
  const auto number = reinterpret_cast<uintptr_t>(connection);
  grpc_auth_context_release(connection);
  return number;
}

}  // namespace

CallerId CallerOf(grpc::CallbackServerContext& context) {
  return {.peer = PeerOf(context.peer()), .connection = ConnectionOf(context)};
}

absl::StatusOr<CallerId> Admit(grpc::CallbackServerContext& context, Role role,
                               const Authenticator* authenticator) {
  if (authenticator == nullptr) return CallerOf(context);
  const absl::StatusOr<Identity> identity =
      authenticator->Authorize(CredentialsOf(context), role);
  if (!identity.ok()) return identity.status();
  Tenant* const tenant = identity->tenant;
  return CallerId{.peer = tenant->number(),
                  .connection = ConnectionOf(context),
                  .tenant = tenant};
}

absl::Status AdmitHealth(grpc::CallbackServerContext& context,
                         const Authenticator* authenticator) {
  if (authenticator == nullptr || !authenticator->health_needs_identity()) {
    return absl::OkStatus();
  }
  return authenticator->Authenticate(CredentialsOf(context)).status();
}

uint64_t PeerOf(absl::string_view address) {
  if (absl::StartsWith(address, "unix")) return UnixPeer();
  const Peer peer = PeerOfUri(address);
  return peer.address.empty()
             ? absl::HashOf(address.substr(0, address.rfind(':')))
             : absl::HashOf(HostOf(peer));
}

}  // namespace actserve
