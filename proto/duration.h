#ifndef ACTSERVE_PROTO_DURATION_H_
#define ACTSERVE_PROTO_DURATION_H_

#include <cstdint>

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"

namespace actserve {

// Returns `value` as a message, cut to whole nanoseconds. `value` must be
// finite.
inline google::protobuf::Duration ToProto(absl::Duration value) {
  google::protobuf::Duration message;
  message.set_seconds(absl::IDivDuration(value, absl::Seconds(1), &value));
  message.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(value)));
  return message;
}

}  // namespace actserve

#endif  // ACTSERVE_PROTO_DURATION_H_
