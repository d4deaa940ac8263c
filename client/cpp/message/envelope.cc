#include "client/cpp/message/envelope.h"

#include "absl/strings/str_cat.h"

namespace actserve {

Envelope::Envelope(const google::protobuf::MessageLite& metadata,
                   absl::Span<const ByteSpan> payloads) {
  heads_.reserve(payloads.size() + 1);
  heads_.push_back(metadata.SerializeAsString());
  for (const ByteSpan payload : payloads) {
    AppendPayloadHeader(payload.size(), heads_.back());
    Add(heads_.back());
    Add(payload);
    heads_.emplace_back();
  }
  if (payloads.empty()) Add(heads_.back());
}

void Envelope::Add(std::string_view bytes) {
  Add(ByteSpan(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()));
}

void Envelope::Add(ByteSpan bytes) {
  size_bytes_ += bytes.size();
  parts_.push_back(bytes);
}

absl::InlinedVector<ByteSpan, 8> Spans(absl::Span<const grpc::Slice> slices) {
  absl::InlinedVector<ByteSpan, 8> spans;
  spans.reserve(slices.size());
  for (const grpc::Slice& slice : slices) {
    spans.emplace_back(reinterpret_cast<const std::byte*>(slice.begin()),
                       slice.size());
  }
  return spans;
}

absl::Status Deliver(absl::Span<const SplitResponse::Payload> payloads,
                     absl::Span<const absl::Span<std::byte>> outputs) {
  if (payloads.size() != outputs.size()) {
    return absl::InternalError(
        absl::StrCat("malformed reply: ", payloads.size(),
                     " payloads, expected ", outputs.size()));
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (payloads[i].size_bytes != outputs[i].size()) {
      return absl::InternalError(absl::StrCat(
          "malformed reply: payload ", i, " has ", payloads[i].size_bytes,
          " bytes, there is room for ", outputs[i].size()));
    }
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    CopyPayload(payloads[i], outputs[i]);
  }
  return absl::OkStatus();
}

}  // namespace actserve
