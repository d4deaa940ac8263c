#ifndef ACTSERVE_CLIENT_CPP_CONNECT_ADDRESS_H_
#define ACTSERVE_CLIENT_CPP_CONNECT_ADDRESS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "client/cpp/balance/resolver.h"

namespace actserve {

// The rules for addresses, the same in every client;
// client/testdata/addresses.json holds both to one table.

// OK if `address` is host:port, unix:PATH, or a gRPC target of scheme dns,
// ipv4, ipv6 or unix-abstract; or several of them, separated by commas. Looks
// nothing up.
//   InvalidArgument  anything else; the message says what to write
absl::Status CheckAddress(std::string_view address);

// The addresses in `address`, which passed CheckAddress(), each once: a server
// each. "ipv4:a,b" is two of them too.
std::vector<std::string> SplitAddress(std::string_view address);

// The name behind which the client finds several servers itself: of
// "dns:HOST:PORT" and "dns:///HOST:PORT", as one of SplitAddress(). Nothing for
// other addresses, which gRPC takes as they are.
std::optional<HostPort> NameToLookUp(std::string_view address);

// True if one of SplitAddress() is a unix socket. "unixbox:1" is a host.
bool IsUnixSocket(std::string_view one);

// True if `address`, which passed CheckAddress(), can only be this machine: a
// unix socket, localhost in any case, 127.0.0.0/8 or ::1, under any scheme; of
// several, if all of them are. A proxy from the environment must not be used
// for it.
bool IsLoopback(std::string_view address);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_CONNECT_ADDRESS_H_
