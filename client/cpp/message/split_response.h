#ifndef ACTSERVE_CLIENT_CPP_MESSAGE_SPLIT_RESPONSE_H_
#define ACTSERVE_CLIENT_CPP_MESSAGE_SPLIT_RESPONSE_H_

#include <cstddef>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace actserve {

using ByteSpan = absl::Span<const std::byte>;

// A response with its payloads taken out, so that tensors are copied straight
// from the slices that gRPC received to the caller's memory.
struct SplitResponse {
  // One payload field, in the pieces it arrived in. Points into the slices
  // that were split.
  struct Payload {
    absl::InlinedVector<ByteSpan, 4> pieces;
    size_t size_bytes = 0;
  };
  // Every other field, unchanged, for the generated class to parse.
  std::string metadata;
  // In the order of the wire.
  absl::InlinedVector<Payload, 1> payloads;
};

// Splits the message that `slices` hold, in order; a field may begin and end
// anywhere in them.
//   Internal  not a protobuf message: a defect of the peer
absl::StatusOr<SplitResponse> Split(absl::Span<const ByteSpan> slices);

// Copies `payload` to `destination`, which must be as large, unless it is there
// already.
void CopyPayload(const SplitResponse::Payload& payload,
                 absl::Span<std::byte> destination);

// Appends a number as protobuf writes lengths.
void AppendVarint(size_t number, std::string& message);

// Appends the tag and the length that precede a payload of `size_bytes`.
void AppendPayloadHeader(size_t size_bytes, std::string& message);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_MESSAGE_SPLIT_RESPONSE_H_
