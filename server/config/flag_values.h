#ifndef ACTSERVE_SERVER_CONFIG_FLAG_VALUES_H_
#define ACTSERVE_SERVER_CONFIG_FLAG_VALUES_H_

#include <map>
#include <string>
#include <vector>

#include "absl/flags/commandlineflag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace actserve {

// The flags of a program, set from three places under the same name: the
// command line (--max_rank=4) wins over the environment (ACTSERVE_MAX_RANK=4),
// which wins over a file ("max_rank = 4"), which wins over the default. The
// file is the value of the flag --config.
//
// The values themselves are Abseil's flags; this object knows where each came
// from.
class FlagValues {
 public:
  // Sets the flags that are defined in `source_file` ("server/flags.cc").
  // `environment` is a list of "NAME=value" that ends with nullptr, as
  // `environ`. Exits as absl::ParseCommandLine() does: after --help and
  // --version, and with code 1 on an argument that does not parse.
  //   InvalidArgument     an argument that is no flag; a name in the file that
  //                       is no flag; a variable with a prefix of ACTSERVE_
  //                       that is nearly the name of a flag; a value that does
  //                       not parse. The message begins with the place.
  //   FailedPrecondition  the file cannot be read
  static absl::StatusOr<FlagValues> Load(int argc, char** argv,
                                         const char* const* environment,
                                         absl::string_view source_file);

  // "default", "command line", "ACTSERVE_MAX_RANK" or "FILE:LINE".
  std::string SourceOf(const std::string& flag) const;

  // Puts the place of the value in front of an error whose message begins with
  // the name of a flag and a colon.
  absl::Status Locate(const absl::Status& error) const;

  // All flags but --config and --check, one a line: "name = value  # source".
  // It can be used as a configuration file.
  std::string ToText() const;

  // The variables ACTSERVE_... that are neither flags nor known to belong to
  // the clients, to Kubernetes or to the project's scripts.
  const std::vector<std::string>& unknown_variables() const {
    return unknown_variables_;
  }

 private:
  absl::Status TakeFile(const std::string& path);
  absl::Status TakeEnvironment(const char* const* environment);
  absl::Status TakeVariable(absl::string_view name, absl::string_view value);
  absl::Status Set(const std::string& flag, absl::string_view value,
                   const std::string& source);

  std::map<std::string, absl::CommandLineFlag*> flags_;
  // Those that are not "default".
  std::map<std::string, std::string> sources_;
  std::vector<std::string> unknown_variables_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_CONFIG_FLAG_VALUES_H_
