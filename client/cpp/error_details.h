// Errors of the server as absl::Status: its code, its text, and what it
// attached for programs to read.

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

// Equal code and text. Each detail of `grpc-status-details-bin` becomes a
// payload under its type URL; details that do not parse are dropped.
absl::Status FromGrpcStatus(const grpc::Status& status);

// The reason of a google.rpc.ErrorInfo of domain "actserve"; "" without one.
std::string ErrorReason(const absl::Status& status);

// What is wrong with a text that Register() refused, with positions; empty for
// any other error.
std::vector<v1::Diagnostic> ErrorDiagnostics(const absl::Status& status);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_ERROR_DETAILS_H_
