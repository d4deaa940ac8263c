#ifndef ACTSERVE_CLIENT_CPP_ADDRESS_H_
#define ACTSERVE_CLIENT_CPP_ADDRESS_H_

#include <string_view>

#include "absl/status/status.h"

namespace actserve {

// The rules for addresses, the same in every client;
// client/testdata/addresses.json holds both to one table.

// OK if `address` is host:port, unix:PATH, or a gRPC target of scheme dns,
// ipv4, ipv6 or unix-abstract. Looks nothing up.
//   InvalidArgument  anything else; the message says what to write
absl::Status CheckAddress(std::string_view address);

// True if `address`, which passed CheckAddress(), can only be this machine: a
// unix socket, localhost in any case, 127.0.0.0/8 or ::1, under any scheme. A
// proxy from the environment must not be used for it.
bool IsLoopback(std::string_view address);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_ADDRESS_H_
