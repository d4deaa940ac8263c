#include "client/cpp/message/split_response.h"

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "proto/payload_field.h"

namespace actserve {
namespace {

// The tag of a payload on the wire: one byte, because the field is below 16.
constexpr unsigned char kPayloadTag = kPayloadField << 3 | 2;
static_assert(kPayloadField < 16);

// The bytes before a field's value, as they came: at most two varints.
struct Head {
  char bytes[20];
  size_t size_bytes = 0;
};

// Reads through a list of slices as if they were one.
class Cursor {
 public:
  explicit Cursor(absl::Span<const ByteSpan> slices) : slices_(slices) {
    for (const ByteSpan slice : slices) remaining_bytes_ += slice.size();
  }

  size_t remaining_bytes() const { return remaining_bytes_; }

  // Reads a varint and appends its bytes to `copy`. False if it is malformed.
  bool ReadVarint(uint64_t& value, Head& copy) {
    value = 0;
    for (int shift = 0; shift < 64 && remaining_bytes_ > 0; shift += 7) {
      const ByteSpan piece = Take(1);
      const auto byte = static_cast<unsigned char>(piece[0]);
      copy.bytes[copy.size_bytes++] = static_cast<char>(byte);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }

  // The next run of at most `size_bytes`, which must be in [1, remaining].
  ByteSpan Take(size_t size_bytes) {
    while (offset_ == slices_[index_].size()) {
      ++index_;
      offset_ = 0;
    }
    const ByteSpan piece = slices_[index_].subspan(offset_, size_bytes);
    offset_ += piece.size();
    remaining_bytes_ -= piece.size();
    return piece;
  }

 private:
  absl::Span<const ByteSpan> slices_;
  size_t index_ = 0;
  size_t offset_ = 0;
  size_t remaining_bytes_ = 0;
};

}  // namespace

absl::StatusOr<SplitResponse> Split(absl::Span<const ByteSpan> slices) {
  const auto malformed = [](const char* what) {
    return absl::InternalError(std::string("malformed reply: ") + what);
  };
  SplitResponse result;
  result.metadata.reserve(256);
  Cursor cursor(slices);
  while (cursor.remaining_bytes() > 0) {
    Head head;
    uint64_t tag = 0;
    if (!cursor.ReadVarint(tag, head)) return malformed("bad field tag");
    uint64_t size_bytes = 0;
    switch (tag & 7) {
      case 0: {
        uint64_t value = 0;
        if (!cursor.ReadVarint(value, head)) return malformed("bad varint");
        break;
      }
      case 1:
        size_bytes = 8;
        break;
      case 2:
        if (!cursor.ReadVarint(size_bytes, head)) {
          return malformed("bad field length");
        }
        break;
      case 5:
        size_bytes = 4;
        break;
      default:
        return malformed("unknown wire type");
    }
    if (size_bytes > cursor.remaining_bytes()) {
      return malformed("a field ends beyond the message");
    }
    const bool is_payload = tag == kPayloadTag;
    SplitResponse::Payload* payload = nullptr;
    if (is_payload) {
      payload = &result.payloads.emplace_back();
      payload->size_bytes = size_bytes;
    } else {
      result.metadata.append(head.bytes, head.size_bytes);
    }
    while (size_bytes > 0) {
      const ByteSpan piece = cursor.Take(size_bytes);
      size_bytes -= piece.size();
      if (is_payload) {
        payload->pieces.push_back(piece);
      } else {
        result.metadata.append(reinterpret_cast<const char*>(piece.data()),
                               piece.size());
      }
    }
  }
  return result;
}

void CopyPayload(const SplitResponse::Payload& payload,
                 absl::Span<std::byte> destination) {
  assert(destination.size() == payload.size_bytes);
  std::byte* to = destination.data();
  for (const ByteSpan piece : payload.pieces) {
    // Computed in this process, the payload may lie there already.
    if (to != piece.data()) std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  }
}

void AppendVarint(size_t number, std::string& message) {
  for (; number >= 0x80; number >>= 7) {
    message.push_back(static_cast<char>(number | 0x80));
  }
  message.push_back(static_cast<char>(number));
}

void AppendPayloadHeader(size_t size_bytes, std::string& message) {
  message.push_back(static_cast<char>(kPayloadTag));
  AppendVarint(size_bytes, message);
}

}  // namespace actserve
