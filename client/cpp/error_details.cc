#include "client/cpp/error_details.h"

#include <optional>

#include "absl/strings/cord.h"
#include "actserve/v1/status.pb.h"

namespace actserve {
namespace {

constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kDiagnosticsUrl[] =
    "type.googleapis.com/actserve.v1.Diagnostics";

// FromGrpcStatus casts between the two enums.
static_assert(static_cast<int>(absl::StatusCode::kInvalidArgument) ==
              grpc::StatusCode::INVALID_ARGUMENT);
static_assert(static_cast<int>(absl::StatusCode::kNotFound) ==
              grpc::StatusCode::NOT_FOUND);
static_assert(static_cast<int>(absl::StatusCode::kResourceExhausted) ==
              grpc::StatusCode::RESOURCE_EXHAUSTED);
static_assert(static_cast<int>(absl::StatusCode::kUnavailable) ==
              grpc::StatusCode::UNAVAILABLE);
static_assert(static_cast<int>(absl::StatusCode::kUnauthenticated) ==
              grpc::StatusCode::UNAUTHENTICATED);

// The payload under `url` as a message of type M.
template <typename M>
std::optional<M> Payload(const absl::Status& status, const char* url) {
  const auto payload = status.GetPayload(url);
  M message;
  if (!payload || !message.ParseFromString(std::string(*payload))) {
    return std::nullopt;
  }
  return message;
}

}  // namespace

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
  v1::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const auto& detail : details.details()) {
      result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
    }
  }
  return result;
}

std::string ErrorReason(const absl::Status& status) {
  const auto info = Payload<v1::ErrorInfo>(status, kErrorInfoUrl);
  return info && info->domain() == "actserve" ? info->reason() : "";
}

std::vector<v1::Diagnostic> ErrorDiagnostics(const absl::Status& status) {
  const auto found = Payload<v1::Diagnostics>(status, kDiagnosticsUrl);
  if (!found) return {};
  return {found->diagnostics().begin(), found->diagnostics().end()};
}

}  // namespace actserve
