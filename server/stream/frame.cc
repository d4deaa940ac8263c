#include "server/stream/frame.h"

#include <utility>

#include "actserve/v1/service.pb.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "kernels/base/status_macros.h"
#include "proto/payload_field.h"
#include "server/message/split_request.h"

namespace actserve {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

using Request = v1::ForwardStreamRequest;
using Response = v1::ForwardStreamResponse;
// The messages of both methods have the same fields.
template <typename A, typename B>
constexpr bool HaveEqualFields() {
  return int{A::kWindowBytesFieldNumber} == int{B::kWindowBytesFieldNumber} &&
         int{A::kTensorFieldNumber} == int{B::kTensorFieldNumber} &&
         int{A::kOffsetFieldNumber} == int{B::kOffsetFieldNumber} &&
         int{A::kPayloadFieldNumber} == kPayloadField &&
         int{B::kPayloadFieldNumber} == kPayloadField;
}
static_assert(HaveEqualFields<Request, v1::BackwardStreamRequest>());
static_assert(HaveEqualFields<Response, v1::BackwardStreamResponse>());
static_assert(int{Request::kRequestFieldNumber} ==
              int{v1::BackwardStreamRequest::kRequestFieldNumber});
static_assert(int{Response::kResponseFieldNumber} ==
              int{v1::BackwardStreamResponse::kResponseFieldNumber});
static_assert(int{Response::kTakenBytesFieldNumber} ==
              int{v1::BackwardStreamResponse::kTakenBytesFieldNumber});

constexpr uint32_t VarintTag(int field) { return field << 3; }
constexpr uint32_t BytesTag(int field) { return field << 3 | 2; }

absl::Status Malformed() {
  return absl::InvalidArgumentError(
      "message of a stream is not a valid protobuf message");
}

// Reads all fields but the payload.
absl::Status ReadFields(const std::string& metadata, RequestFrame* frame) {
  CodedInputStream input(reinterpret_cast<const uint8_t*>(metadata.data()),
                         static_cast<int>(metadata.size()));
  uint64_t number = 0;
  while (const uint32_t tag = input.ReadTag()) {
    switch (tag) {
      case BytesTag(Request::kRequestFieldNumber): {
        uint32_t size_bytes = 0;
        if (!input.ReadVarint32(&size_bytes) ||
            !input.ReadString(&frame->request.emplace(),
                              static_cast<int>(size_bytes))) {
          return Malformed();
        }
        continue;
      }
      case VarintTag(Request::kWindowBytesFieldNumber):
        if (!input.ReadVarint64(&number)) return Malformed();
        frame->window_bytes = static_cast<int64_t>(number);
        continue;
      case VarintTag(Request::kTensorFieldNumber):
        if (!input.ReadVarint64(&number)) return Malformed();
        frame->tensor = static_cast<int32_t>(number);
        continue;
      case VarintTag(Request::kOffsetFieldNumber):
        if (!input.ReadVarint64(&number)) return Malformed();
        frame->offset = static_cast<int64_t>(number);
        continue;
      default:
        if (!WireFormatLite::SkipField(&input, tag)) return Malformed();
    }
  }
  return input.ConsumedEntireMessage() ? absl::OkStatus() : Malformed();
}

void AppendVarintField(int field, uint64_t value, std::string* bytes) {
  if (value == 0) return;
  uint8_t buffer[16];
  uint8_t* end =
      CodedOutputStream::WriteVarint32ToArray(VarintTag(field), buffer);
  end = CodedOutputStream::WriteVarint64ToArray(value, end);
  bytes->append(reinterpret_cast<const char*>(buffer), end - buffer);
}

// Tag and length.
void AppendPrefix(int field, size_t size_bytes, std::string* bytes) {
  uint8_t buffer[16];
  uint8_t* end =
      CodedOutputStream::WriteVarint32ToArray(BytesTag(field), buffer);
  end = CodedOutputStream::WriteVarint64ToArray(size_bytes, end);
  bytes->append(reinterpret_cast<const char*>(buffer), end - buffer);
}

}  // namespace

absl::StatusOr<RequestFrame> ReadFrame(absl::Span<const Fragment> bytes,
                                       size_t max_metadata_bytes) {
  SplitRequest split;
  ACTSERVE_RETURN_IF_ERROR(Split(
      bytes, {.metadata_bytes = max_metadata_bytes, .payloads = 1}, &split));
  if (split.repeated_fields != 0) {
    return absl::InvalidArgumentError(
        "message of a stream has a field more than once");
  }
  RequestFrame frame;
  ACTSERVE_RETURN_IF_ERROR(ReadFields(split.metadata, &frame));
  if (!split.payloads.empty()) {
    frame.has_payload = true;
    frame.payload_bytes = split.payloads[0].size_bytes;
    frame.payload = std::move(split.fragments);
  }
  return frame;
}

std::string TakenField(int64_t taken_bytes) {
  std::string bytes;
  AppendVarintField(Response::kTakenBytesFieldNumber, taken_bytes, &bytes);
  return bytes;
}

std::string FirstFrame(absl::string_view response, int64_t window_bytes) {
  std::string bytes = LastFrame(response);
  AppendVarintField(Response::kWindowBytesFieldNumber, window_bytes, &bytes);
  return bytes;
}

std::string ChunkHead(int32_t tensor, int64_t offset, size_t payload_bytes) {
  std::string bytes;
  AppendVarintField(Response::kTensorFieldNumber, tensor, &bytes);
  AppendVarintField(Response::kOffsetFieldNumber, offset, &bytes);
  AppendPrefix(kPayloadField, payload_bytes, &bytes);
  return bytes;
}

std::string LastFrame(absl::string_view response) {
  std::string bytes;
  AppendPrefix(Response::kResponseFieldNumber, response.size(), &bytes);
  bytes.append(response.data(), response.size());
  return bytes;
}

}  // namespace actserve
