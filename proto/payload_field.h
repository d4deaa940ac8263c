#ifndef ACTSERVE_PROTO_PAYLOAD_FIELD_H_
#define ACTSERVE_PROTO_PAYLOAD_FIELD_H_

#include "actserve/v1/service.pb.h"

namespace actserve {

// The field number of `repeated bytes payload` in every message with tensors,
// for code that reads and writes that field by hand.
inline constexpr int kPayloadField = v1::ForwardRequest::kPayloadFieldNumber;

static_assert(v1::ForwardResponse::kPayloadFieldNumber == kPayloadField);
static_assert(v1::BackwardRequest::kPayloadFieldNumber == kPayloadField);
static_assert(v1::BackwardResponse::kPayloadFieldNumber == kPayloadField);

}  // namespace actserve

#endif  // ACTSERVE_PROTO_PAYLOAD_FIELD_H_
