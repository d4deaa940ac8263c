#ifndef ACTSERVE_PROTO_STATUS_H_
#define ACTSERVE_PROTO_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "actserve/v1/status.pb.h"

namespace actserve {

// Returns code, message and payloads; each payload is a detail of its type.
inline v1::Status ToProto(const absl::Status& status) {
  v1::Status message;
  message.set_code(static_cast<int>(status.code()));
  message.set_message(std::string(status.message()));
  status.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) {
    google::protobuf::Any& any = *message.add_details();
    any.set_type_url(std::string(type));
    any.set_value(std::string(payload));
  });
  return message;
}

// Adds the details of `message` to `status` as payloads.
inline void AddDetails(const v1::Status& message, absl::Status& status) {
  for (const auto& detail : message.details()) {
    status.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
}

// The inverse of ToProto().
inline absl::Status FromProto(const v1::Status& message) {
  absl::Status status(static_cast<absl::StatusCode>(message.code()),
                      message.message());
  AddDetails(message, status);
  return status;
}

}  // namespace actserve

#endif  // ACTSERVE_PROTO_STATUS_H_
