#include "server/rpc/status.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "actserve/v1/status.pb.h"
#include "proto/error_trailers.h"
#include "server/scheduling/retry_after.h"

namespace actserve {
namespace {

#define ACTSERVE_SAME_CODE(absl_code, grpc_code)                    \
  static_assert(static_cast<int>(absl::StatusCode::k##absl_code) == \
                static_cast<int>(grpc::StatusCode::grpc_code))
ACTSERVE_SAME_CODE(Ok, OK);
ACTSERVE_SAME_CODE(Cancelled, CANCELLED);
ACTSERVE_SAME_CODE(Unknown, UNKNOWN);
ACTSERVE_SAME_CODE(InvalidArgument, INVALID_ARGUMENT);
ACTSERVE_SAME_CODE(DeadlineExceeded, DEADLINE_EXCEEDED);
ACTSERVE_SAME_CODE(NotFound, NOT_FOUND);
ACTSERVE_SAME_CODE(AlreadyExists, ALREADY_EXISTS);
ACTSERVE_SAME_CODE(PermissionDenied, PERMISSION_DENIED);
ACTSERVE_SAME_CODE(ResourceExhausted, RESOURCE_EXHAUSTED);
ACTSERVE_SAME_CODE(FailedPrecondition, FAILED_PRECONDITION);
ACTSERVE_SAME_CODE(Aborted, ABORTED);
ACTSERVE_SAME_CODE(OutOfRange, OUT_OF_RANGE);
ACTSERVE_SAME_CODE(Unimplemented, UNIMPLEMENTED);
ACTSERVE_SAME_CODE(Internal, INTERNAL);
ACTSERVE_SAME_CODE(Unavailable, UNAVAILABLE);
ACTSERVE_SAME_CODE(DataLoss, DATA_LOSS);
ACTSERVE_SAME_CODE(Unauthenticated, UNAUTHENTICATED);
#undef ACTSERVE_SAME_CODE

// gRPC percent-encodes what is not printable ASCII.
int EncodedBytes(char c) { return c >= ' ' && c <= '~' && c != '%' ? 1 : 3; }

bool StartsCodePoint(char c) { return (c & 0xC0) != 0x80; }

std::string Cut(absl::string_view message) {
  constexpr absl::string_view kEllipsis = "...";
  int encoded = 0;
  size_t cut = 0;  // the longest prefix that leaves room for the ellipsis
  for (size_t i = 0; i < message.size(); ++i) {
    if (StartsCodePoint(message[i]) &&
        encoded + kEllipsis.size() <= kMaxEncodedMessageBytes) {
      cut = i;
    }
    encoded += EncodedBytes(message[i]);
    if (encoded > kMaxEncodedMessageBytes) {
      return absl::StrCat(message.substr(0, cut), kEllipsis);
    }
  }
  return std::string(message);
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message = Cut(status.message());
  v1::Status details;
  status.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) {
    if (type == kRetryAfterType) return;  // a trailer: see Finish()
    google::protobuf::Any& any = *details.add_details();
    any.set_type_url(std::string(type));
    any.set_value(std::string(payload));
  });
  const auto code = static_cast<grpc::StatusCode>(status.code());
  if (details.details().empty()) return grpc::Status(code, message);
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  return grpc::Status(code, message, details.SerializeAsString());
}

grpc::Status Conclude(const absl::Status& status,
                      grpc::CallbackServerContext* context) {
  if (!status.ok()) context->AddTrailingMetadata(kAnsweredTrailer, "1");
  if (absl::IsResourceExhausted(status)) {
    // By default about what a queue of large tensors takes to move on.
    const absl::Duration pause =
        RetryAfter(status).value_or(absl::Milliseconds(100));
    context->AddTrailingMetadata(
        kPushbackTrailer, absl::StrCat(absl::ToInt64Milliseconds(pause)));
  }
  return ToGrpcStatus(status);
}

void Finish(const absl::Status& status, grpc::CallbackServerContext* context,
            CallReactor* reactor) {
  reactor->set_code(status.code());
  reactor->Finish(Conclude(status, context));
}

}  // namespace actserve
