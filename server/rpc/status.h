#ifndef ACTSERVE_SERVER_RPC_STATUS_H_
#define ACTSERVE_SERVER_RPC_STATUS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "actserve/v1/activation.pb.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "grpcpp/support/status.h"
#include "kernels/lang/diagnostic.h"

namespace actserve {

// Bounds on what one error adds to the trailers: clients refuse headers of
// more than 8 KiB by default, and would then see no error at all.
inline constexpr int kMaxEncodedMessageBytes = 2304;
inline constexpr int kMaxDiagnosticsBytes = 1800;

// NotFound with reason ACTIVATION_UNKNOWN: teach the text, then retry.
absl::Status ActivationUnknownError(absl::string_view activation);

// NotFound with reason RESIDUAL_GONE: send the inputs instead. The same for a
// handle that expired, was released, or never was.
absl::Status ResidualGoneError();

v1::Diagnostic ToProto(const Diagnostic& diagnostic);

// `status` with the diagnostics attached as a v1::Diagnostics. If they do not
// fit into kMaxDiagnosticsBytes the last are dropped and a note says so.
absl::Status WithDiagnostics(absl::Status status,
                             absl::Span<const Diagnostic> diagnostics);

// The one place where a Status goes onto the wire. Codes are equal by number;
// payloads become details of the google.rpc.Status in
// `grpc-status-details-bin`. Too long a message is cut, ending in "...".
grpc::Status ToGrpcStatus(const absl::Status& status);

// Finishes a call with `status`. With RESOURCE_EXHAUSTED goes, as trailer
// `grpc-retry-pushback-ms`, when to come back; clients that know it wait as
// long, and those that do not see an error as before.
void Finish(const absl::Status& status, grpc::CallbackServerContext* context,
            grpc::ServerUnaryReactor* reactor);

// `text` from a client for use in a message or a log: in double quotes,
// escaped, at most 64 bytes of it.
std::string Quoted(absl::string_view text);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_STATUS_H_
