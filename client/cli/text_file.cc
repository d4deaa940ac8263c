#include "client/cli/text_file.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/read_file.h"
#include "kernels/base/status_macros.h"
#include "proto/default_address.h"

namespace actserve {

bool IsTextFile(const std::string& activation) {
  return absl::StrContains(activation, '/') ||
         absl::EndsWith(activation, ".py");
}

absl::StatusOr<v1::RegisterActivationRequest> ToRequest(
    const TextFlags& flags) {
  v1::RegisterActivationRequest request;
  ACTSERVE_ASSIGN_OR_RETURN(*request.mutable_text(), ReadFile(flags.file));
  if (!flags.derivative_file.empty()) {
    ACTSERVE_ASSIGN_OR_RETURN(*request.mutable_derivative(),
                              ReadFile(flags.derivative_file));
  }
  for (const auto& [name, value] : flags.constants) {
    (*request.mutable_constants())[name] = value;
  }
  request.set_exact(flags.exact);
  return request;
}

absl::Status DoesNotCompile(const std::string& path) {
  return absl::InvalidArgumentError(absl::StrCat(path, " does not compile"));
}

absl::StatusOr<std::unique_ptr<Client>> ConnectTo(const ServerFlags& server,
                                                  Needs needs) {
  std::string address =
      server.address.empty() ? DefaultAddress() : server.address;
  if (address.empty() && needs == Needs::kAnyEngine) address = "local";
  if (address == "local") {
    LocalOptions options;
    options.timeout = absl::Seconds(server.timeout_seconds);
    return Client::Local(options);
  }
  Client::Options options;
  options.timeout = absl::Seconds(server.timeout_seconds);
  options.security = server.security;
  return Client::Connect(address, options);
}

}  // namespace actserve
