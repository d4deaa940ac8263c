// Errors of the server as absl::Status: code, message, and the details that it
// attached for programs.

#ifndef ACTSERVE_CLIENT_CPP_ERROR_DETAILS_H_
#define ACTSERVE_CLIENT_CPP_ERROR_DETAILS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "actserve/v1/activation.pb.h"
#include "grpcpp/support/status.h"

namespace actserve {

inline constexpr std::string_view kActivationUnknown = "ACTIVATION_UNKNOWN";
inline constexpr std::string_view kResidualGone = "RESIDUAL_GONE";

// Code and message stay equal. Each detail of `grpc-status-details-bin` becomes
// a payload under its type URL; details that do not parse are dropped.
absl::Status FromGrpcStatus(const grpc::Status& status);

// Returns the reason of the google.rpc.ErrorInfo of domain "actserve"; "" if
// there is none.
std::string ErrorReason(const absl::Status& status);

// Returns the diagnostics, with positions, of a text that RegisterActivation()
// refused; empty for any other error.
std::vector<v1::Diagnostic> ErrorDiagnostics(const absl::Status& status);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_ERROR_DETAILS_H_
