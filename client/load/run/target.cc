#include "client/load/run/target.h"

#include "absl/strings/match.h"
#include "kernels/base/status_macros.h"
#include "proto/default_address.h"

namespace actserve {

absl::StatusOr<std::unique_ptr<Target>> Target::Connect(
    const WorkloadSpec& spec, const ServerFlags& flags, Client* local,
    uint64_t seed) {
  auto target = std::make_unique<Target>();
  target->spec_ = spec;
  std::string& address = target->spec_.address;
  if (address.empty()) address = flags.address;
  if (address.empty()) address = DefaultAddress();
  if (address == "local") {
    LocalOptions options;
    options.timeout = spec.timeout;
    ACTSERVE_ASSIGN_OR_RETURN(target->client_, Client::Local(options));
  } else {
    Client::Options options;
    options.timeout = spec.timeout;
    options.max_attempts = spec.max_attempts;
    options.channels = spec.connections;
    options.shared_memory = spec.shared_memory;
    options.security = flags.security;
    if (!spec.token_file.empty()) options.security.token_file = spec.token_file;
    if (!spec.tls_ca.empty()) options.security.tls_ca = spec.tls_ca;
    ACTSERVE_ASSIGN_OR_RETURN(target->client_,
                              Client::Connect(address, options));
  }
  const bool by_unix_socket = absl::StartsWith(address, "unix:");
  for (size_t i = 0; i < spec.requests.size(); ++i) {
    const RequestSpec& request = spec.requests[i];
    ACTSERVE_RETURN_IF_ERROR(CheckRequest(request, by_unix_socket));
    auto& prepared = target->prepared_.emplace_back();
    for (size_t shape = 0; shape < request.shapes.size(); ++shape) {
      ACTSERVE_ASSIGN_OR_RETURN(
          prepared.emplace_back(),
          PreparedRequest::Make(request, request.shapes[shape].shape,
                                *target->client_, spec.in_place,
                                spec.verify > 0 ? local : nullptr,
                                seed + 1000 * i + shape));
    }
  }
  return target;
}

}  // namespace actserve
