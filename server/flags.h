#ifndef ACTSERVE_SERVER_FLAGS_H_
#define ACTSERVE_SERVER_FLAGS_H_

#include "absl/status/statusor.h"
#include "server/options.h"

namespace actserve {

// The flags of actserved as Options, not yet validated. Ends the process
// after --help, and with code 1 on a flag that does not parse.
//   InvalidArgument  an argument that is no flag
absl::StatusOr<Options> OptionsFromCommandLine(int argc, char** argv);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_FLAGS_H_
