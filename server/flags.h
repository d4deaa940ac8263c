#ifndef ACTSERVE_SERVER_FLAGS_H_
#define ACTSERVE_SERVER_FLAGS_H_

#include "absl/status/statusor.h"
#include "server/config/flag_values.h"
#include "server/options.h"

namespace actserve {

// What actserved is to do.
struct Configuration {
  Options options;
  FlagValues values;
  // True to check the configuration and end.
  bool check = false;
};

// Reads the flags of actserved, without validating them, from the command line,
// the environment and the file that --config names. Exits after --help and
// --version, and with code 1 on a flag that does not parse.
//   InvalidArgument, FailedPrecondition  as FlagValues::Load()
absl::StatusOr<Configuration> ReadConfiguration(int argc, char** argv);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_FLAGS_H_
