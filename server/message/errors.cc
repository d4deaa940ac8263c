#include "server/message/errors.h"

#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "actserve/v1/status.pb.h"
#include "kernels/base/text.h"

namespace actserve {
namespace {

constexpr char kErrorInfoType[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kDiagnosticsType[] =
    "type.googleapis.com/actserve.v1.Diagnostics";

v1::Diagnostic::Severity SeverityToProto(Diagnostic::Severity severity) {
  switch (severity) {
    case Diagnostic::Severity::kError:
      return v1::Diagnostic::ERROR;
    case Diagnostic::Severity::kWarning:
      return v1::Diagnostic::WARNING;
    case Diagnostic::Severity::kNote:
      return v1::Diagnostic::NOTE;
  }
  return v1::Diagnostic::SEVERITY_UNSPECIFIED;
}

absl::Status WithReason(absl::Status status, absl::string_view reason) {
  v1::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain("actserve");
  status.SetPayload(kErrorInfoType, absl::Cord(info.SerializeAsString()));
  return status;
}

}  // namespace

absl::Status ActivationUnknownError(std::string_view activation) {
  return WithReason(
      absl::NotFoundError(absl::StrCat("activation ", Quoted(activation),
                                       " is not known to this server")),
      "ACTIVATION_UNKNOWN");
}

absl::Status ResidualGoneError() {
  return WithReason(
      absl::NotFoundError("residual: no such handle, or no longer held"),
      "RESIDUAL_GONE");
}

v1::Diagnostic ToProto(const Diagnostic& diagnostic) {
  v1::Diagnostic message;
  message.set_severity(SeverityToProto(diagnostic.severity));
  message.set_line(diagnostic.position.line);
  message.set_column(diagnostic.position.column);
  message.set_message(diagnostic.message);
  return message;
}

void AddDiagnostics(
    absl::Span<const Diagnostic> diagnostics, size_t max_bytes,
    google::protobuf::RepeatedPtrField<v1::Diagnostic>* messages) {
  constexpr size_t kRoomForNote = 80;
  constexpr size_t kRoomForLength = 6;  // and the tag
  size_t size_bytes = 0;
  for (size_t i = 0; i < diagnostics.size(); ++i) {
    v1::Diagnostic message = ToProto(diagnostics[i]);
    size_bytes += message.ByteSizeLong() + kRoomForLength;
    if (size_bytes + kRoomForNote <= max_bytes) {
      *messages->Add() = std::move(message);
      continue;
    }
    message.set_severity(v1::Diagnostic::NOTE);
    message.set_message(
        absl::StrCat(diagnostics.size() - i, " more, not shown"));
    *messages->Add() = std::move(message);
    return;
  }
}

absl::Status WithDiagnostics(absl::Status status,
                             absl::Span<const Diagnostic> diagnostics) {
  v1::Diagnostics message;
  AddDiagnostics(diagnostics, kMaxDiagnosticsBytes,
                 message.mutable_diagnostics());
  status.SetPayload(kDiagnosticsType, absl::Cord(message.SerializeAsString()));
  return status;
}

}  // namespace actserve
