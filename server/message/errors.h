// Errors that a client can act on, and diagnostics, as messages.

#ifndef ACTSERVE_SERVER_MESSAGE_ERRORS_H_
#define ACTSERVE_SERVER_MESSAGE_ERRORS_H_

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "actserve/v1/activation.pb.h"
#include "google/protobuf/repeated_field.h"
#include "kernels/lang/diagnostic.h"

namespace actserve {

// Limit on the bytes that the diagnostics of one error add to its trailers (see
// rpc/status.h).
inline constexpr int kMaxDiagnosticsBytes = 1800;

// NotFound with reason ACTIVATION_UNKNOWN: the client registers the text and
// retries.
absl::Status ActivationUnknownError(std::string_view activation);

// NotFound with reason RESIDUAL_GONE: the client sends the inputs instead.
// Handles that expired, were released or never existed get the same error.
absl::Status ResidualGoneError();

v1::Diagnostic ToProto(const Diagnostic& diagnostic);

// Appends `diagnostics` to `messages`. If they do not fit into `max_bytes`, the
// last ones are dropped and a note says so.
void AddDiagnostics(
    absl::Span<const Diagnostic> diagnostics, size_t max_bytes,
    google::protobuf::RepeatedPtrField<v1::Diagnostic>* messages);

// Returns `status` with the diagnostics attached as a v1::Diagnostics, as many
// as fit into kMaxDiagnosticsBytes.
absl::Status WithDiagnostics(absl::Status status,
                             absl::Span<const Diagnostic> diagnostics);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_MESSAGE_ERRORS_H_
