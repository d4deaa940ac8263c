#ifndef ACTSERVE_SERVER_CHECK_H_
#define ACTSERVE_SERVER_CHECK_H_

#include <string>

#include "absl/status/statusor.h"
#include "server/options.h"

namespace actserve {

// Checks what a server would need to start with `options`, without listening:
// their ranges, the addresses, the folders of the socket and of the port file,
// the tokens and certificates, the cache on disk, and the device, which it
// makes and lets go of. Makes the directories that a server would make. Returns
// the device and why it was chosen: "cpu (--device=cpu)".
//   InvalidArgument, FailedPrecondition, Unavailable  as Server::Start(); the
//       message begins with the name of the flag where there is one
absl::StatusOr<std::string> CheckSurroundings(const Options& options);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_CHECK_H_
