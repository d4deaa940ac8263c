#ifndef ACTSERVE_SERVER_CONFIG_CONFIG_FILE_H_
#define ACTSERVE_SERVER_CONFIG_CONFIG_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace actserve {

// One line of a configuration file.
struct Setting {
  std::string name;
  // May be empty.
  std::string value;
  // Counts from 1.
  int line = 0;
};

// Parses the text of a configuration file, one setting a line:
//
//   # a comment
//   listen = 0.0.0.0:50051, [::1]:50052   # another
//   batch_delay = 200us
//
// The value is the rest of the line without the white space around it, as it
// would stand after --name= on the command line; there are no quotes and no
// sections. `#` begins a comment at the start of a line or after white space.
//   InvalidArgument  "PATH:LINE: ...": a line is no setting, or a name is set
//                    twice
absl::StatusOr<std::vector<Setting>> ParseConfig(absl::string_view text,
                                                 absl::string_view path);

// Parses a file. A plain file only: others might never end.
//   InvalidArgument     as ParseConfig()
//   FailedPrecondition  it cannot be read, or is beyond 1 MiB
absl::StatusOr<std::vector<Setting>> ReadConfig(const std::string& path);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_CONFIG_CONFIG_FILE_H_
