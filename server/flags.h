#ifndef ACTSERVE_SERVER_FLAGS_H_
#define ACTSERVE_SERVER_FLAGS_H_

#include "absl/status/statusor.h"
#include "server/options.h"

namespace actserve {

// Parses the flags of actserved into Options, without validating them. Exits
// after --help, and with code 1 on a flag that does not parse.
//   InvalidArgument  an argument that is no flag
absl::StatusOr<Options> OptionsFromCommandLine(int argc, char** argv);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_FLAGS_H_
