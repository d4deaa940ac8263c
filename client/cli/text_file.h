// Functions that local and remote commands share.

#ifndef ACTSERVE_CLIENT_CLI_TEXT_FILE_H_
#define ACTSERVE_CLIENT_CLI_TEXT_FILE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/commands.h"
#include "client/cpp/client.h"

namespace actserve {

// True if `activation` is meant as a path: it has a slash or ends in ".py".
// Names and ids have neither.
bool IsTextFile(const std::string& activation);

// The texts that `flags` name, read.
absl::StatusOr<v1::RegisterActivationRequest> ToRequest(const TextFlags& flags);

// For a text whose diagnostics were printed.
absl::Status DoesNotCompile(const std::string& path);

// What a command can do without an address, where no server listens by default.
enum class Needs {
  kServer,     // nothing: it tells about a server
  kAnyEngine,  // all of it, in this program
};

//   InvalidArgument  a timeout that is not positive
//   Unavailable      there is no address, and the command needs a server
absl::StatusOr<std::unique_ptr<Client>> ConnectTo(const ServerFlags& server,
                                                  Needs needs = Needs::kServer);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CLI_TEXT_FILE_H_
