#ifndef ACTSERVE_CLIENT_CLI_READ_FILE_H_
#define ACTSERVE_CLIENT_CLI_READ_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace actserve {

// All bytes of the file at `path`.
//   NotFound  it cannot be read: there is none, or it is a folder
absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CLI_READ_FILE_H_
