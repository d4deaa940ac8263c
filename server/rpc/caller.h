#ifndef ACTSERVE_SERVER_RPC_CALLER_H_
#define ACTSERVE_SERVER_RPC_CALLER_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "grpcpp/server_context.h"
#include "server/scheduling/caller_id.h"

namespace actserve {

// Returns who sent a call. The peer is the address without its port, of IPv6
// the first 64 bits, for a host has all addresses below them; all of a unix
// socket are one peer, because its folder lets only one user in. Behind a proxy
// all callers are that proxy.
//
// Allocates.
CallerId CallerOf(grpc::CallbackServerContext& context);

// The peer of an address as gRPC writes it: "ipv4:127.0.0.1:4711",
// "ipv6:%5B::1%5D:4711", "unix:".
uint64_t PeerOf(absl::string_view address);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_CALLER_H_
