#ifndef ACTSERVE_SERVER_IDENTITY_UNIX_PEER_H_
#define ACTSERVE_SERVER_IDENTITY_UNIX_PEER_H_

#include <cstdint>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"

namespace actserve {

// CallerId::peer of all callers over unix sockets: they are one peer, because
// the folder of the sockets lets only one user in, and those that it names.
inline uint64_t UnixPeer() { return absl::HashOf(absl::string_view("unix")); }

}  // namespace actserve

#endif  // ACTSERVE_SERVER_IDENTITY_UNIX_PEER_H_
