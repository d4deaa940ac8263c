#include "client/cpp/stream/choice.h"

#include "absl/strings/match.h"
#include "actserve/v1/service.pb.h"

namespace actserve {

StreamUse StreamUseOf(absl::string_view method, const SplitResponse& request) {
  if (method == "Forward") {
    v1::ForwardRequest message;
    if (!message.ParseFromString(request.metadata)) return StreamUse::kNever;
    return message.keep_residual() || message.has_split_axis()
               ? StreamUse::kIfTooLarge
               : StreamUse::kFromSize;
  }
  if (method == "Backward") {
    v1::BackwardRequest message;
    if (!message.ParseFromString(request.metadata) ||
        !message.residual().empty()) {
      return StreamUse::kNever;
    }
    return message.has_split_axis() ? StreamUse::kIfTooLarge
                                    : StreamUse::kFromSize;
  }
  return StreamUse::kNever;
}

bool IsOverMessageLimit(const absl::Status& status) {
  return (absl::IsResourceExhausted(status) &&
          absl::StrContains(status.message(), "message larger than max")) ||
         (absl::IsInvalidArgument(status) &&
          absl::StrContains(status.message(), "by --max_message_bytes"));
}

}  // namespace actserve
