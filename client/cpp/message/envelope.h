// A request as it is sent, and a reply as it is read: metadata for the
// generated classes, tensors in place.

#ifndef ACTSERVE_CLIENT_CPP_MESSAGE_ENVELOPE_H_
#define ACTSERVE_CLIENT_CPP_MESSAGE_ENVELOPE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/cpp/message/split_response.h"
#include "google/protobuf/message_lite.h"
#include "grpcpp/support/slice.h"
#include "kernels/base/status_macros.h"

namespace actserve {

// A request as the parts that are sent: metadata, then each payload behind its
// tag and length. Views of `payloads` and of its own strings.
class Envelope {
 public:
  Envelope(const google::protobuf::MessageLite& metadata,
           absl::Span<const ByteSpan> payloads);
  Envelope(const Envelope&) = delete;
  Envelope& operator=(const Envelope&) = delete;

  absl::Span<const ByteSpan> parts() const { return parts_; }
  size_t size_bytes() const { return size_bytes_; }

 private:
  void Add(std::string_view bytes);
  void Add(ByteSpan bytes);

  absl::InlinedVector<std::string, 3> heads_;
  absl::InlinedVector<ByteSpan, 6> parts_;
  size_t size_bytes_ = 0;
};

// A reply of the contract, read up to its payloads.
template <typename Response>
struct Answer {
  Response metadata;
  absl::InlinedVector<SplitResponse::Payload, 1> payloads;
  // The memory that `payloads` points into.
  std::vector<grpc::Slice> slices;
};

// Metadata that nobody asks for.
struct Unread {
  bool ParseFromString(const std::string&) { return true; }
};

// Views of `slices`; valid as long as they are.
absl::InlinedVector<ByteSpan, 8> Spans(absl::Span<const grpc::Slice> slices);

// Reads a reply that arrived as `slices`.
//   Internal  it is malformed
template <typename Response>
absl::StatusOr<Answer<Response>> Open(std::vector<grpc::Slice> slices) {
  Answer<Response> answer;
  answer.slices = std::move(slices);
  ACTSERVE_ASSIGN_OR_RETURN(SplitResponse split, Split(Spans(answer.slices)));
  if (!answer.metadata.ParseFromString(split.metadata)) {
    return absl::InternalError("malformed reply: metadata does not parse");
  }
  answer.payloads = std::move(split.payloads);
  return answer;
}

// Copies each payload to its place; writes nothing unless all of them fit.
//   Internal  they do not
absl::Status Deliver(absl::Span<const SplitResponse::Payload> payloads,
                     absl::Span<const absl::Span<std::byte>> outputs);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_MESSAGE_ENVELOPE_H_
