#include "client/cpp/stream/choice.h"

#include "absl/strings/match.h"
#include "actserve/v1/service.pb.h"

namespace actserve {

bool MayStream(absl::string_view method, const SplitResponse& request) {
  if (method == "Forward") return true;
  if (method != "Backward") return false;
  v1::BackwardRequest message;
  return message.ParseFromString(request.metadata) &&
         message.residual().empty();
}

bool IsOverMessageLimit(const absl::Status& status) {
  return (absl::IsResourceExhausted(status) &&
          absl::StrContains(status.message(), "message larger than max")) ||
         (absl::IsInvalidArgument(status) &&
          absl::StrContains(status.message(), "by --max_message_bytes"));
}

}  // namespace actserve
