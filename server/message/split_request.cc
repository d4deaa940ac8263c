#include "server/message/split_request.h"

#include <algorithm>
#include <array>
#include <climits>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"

namespace actserve {
namespace {

enum WireType : uint32_t {
  kVarint = 0,
  kFixed64 = 1,
  kLengthDelimited = 2,
  kStartGroup = 3,
  kEndGroup = 4,
  kFixed32 = 5,
};

// The same as in the generated parser: its recursion limit, and the largest
// length that its length prefix may give.
constexpr int kMaxGroupDepth = 100;
constexpr uint32_t kMaxLength = INT_MAX - 16;

// A read position in fragments. The last bytes read by ReadVarint() are kept,
// so that they can be copied as they were, canonical or not.
class Cursor {
 public:
  explicit Cursor(absl::Span<const Fragment> bytes) : bytes_(bytes) {
    SkipEmpty();
  }

  bool AtEnd() const { return index_ == bytes_.size(); }

  // Appends the next byte to `copy`. False at the end.
  bool ReadByte(uint8_t* byte, std::string* copy) {
    if (AtEnd()) return false;
    *byte = static_cast<uint8_t>(bytes_[index_].data[offset_]);
    copy->push_back(static_cast<char>(*byte));
    Advance(1);
    return true;
  }

  // Calls `take(data, size)` for each run of the next `size_bytes` bytes.
  // False if there are fewer.
  template <typename Take>
  bool Read(size_t size_bytes, Take take) {
    while (size_bytes > 0) {
      if (AtEnd()) return false;
      const Fragment& fragment = bytes_[index_];
      const size_t run = std::min(size_bytes, fragment.size_bytes - offset_);
      take(fragment.data + offset_, run);
      Advance(run);
      size_bytes -= run;
    }
    return true;
  }

 private:
  void Advance(size_t size_bytes) {
    offset_ += size_bytes;
    if (offset_ == bytes_[index_].size_bytes) {
      ++index_;
      offset_ = 0;
      SkipEmpty();
    }
  }
  void SkipEmpty() {
    while (index_ < bytes_.size() && bytes_[index_].size_bytes == 0) ++index_;
  }

  absl::Span<const Fragment> bytes_;
  size_t index_ = 0;
  size_t offset_ = 0;
};

class Splitter {
 public:
  Splitter(absl::Span<const Fragment> bytes, const SplitLimits& limits,
           PayloadField field, SplitRequest* out)
      : cursor_(bytes),
        limits_(limits),
        payload_tag_(field.number << 3 | kLengthDelimited),
        out_(*out) {}

  absl::Status Run() {
    uint32_t seen = 0;
    while (!cursor_.AtEnd()) {
      const size_t start = out_.metadata.size();
      uint32_t tag;
      if (!ReadTag(&tag)) return Malformed("tag");
      const uint32_t field = tag >> 3;
      const uint32_t bit = field < 32 ? uint32_t{1} << field : 0;
      out_.repeated_fields |= seen & bit;
      seen |= bit;
      absl::Status status;
      if (tag == payload_tag_) {
        out_.metadata.resize(start);
        status = TakePayload();
      } else {
        status = CopyField(tag);
      }
      if (!status.ok()) return status;
      if (out_.metadata.size() > limits_.metadata_bytes) return TooMuch();
    }
    return absl::OkStatus();
  }

 private:
  static absl::Status Malformed(absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("request is not a valid protobuf message: bad ", what));
  }
  absl::Status TooMuch() const {
    return absl::InvalidArgumentError(
        absl::StrCat("request has more than ", limits_.metadata_bytes,
                     " bytes beside its payloads"));
  }

  // Up to `max_bytes` bytes; bits beyond the 64th are dropped, as the
  // generated parser does.
  bool ReadVarint(int max_bytes, uint64_t* value) {
    *value = 0;
    for (int i = 0; i < max_bytes; ++i) {
      uint8_t byte;
      if (!cursor_.ReadByte(&byte, &out_.metadata)) return false;
      *value |= static_cast<uint64_t>(byte & 0x7F) << (7 * i);
      if (byte < 0x80) return true;
    }
    return false;
  }

  bool ReadTag(uint32_t* tag) {
    uint64_t value;
    if (!ReadVarint(5, &value)) return false;
    *tag = static_cast<uint32_t>(value);
    return *tag >> 3 != 0;
  }

  bool ReadLength(uint32_t* length) {
    uint64_t value;
    if (!ReadVarint(5, &value) || value > kMaxLength) return false;
    *length = static_cast<uint32_t>(value);
    return true;
  }

  absl::Status TakePayload() {
    const size_t start = out_.metadata.size();
    uint32_t length;
    if (!ReadLength(&length)) return Malformed("length of payload");
    out_.metadata.resize(start);
    if (out_.payloads.size() == limits_.payloads) {
      return absl::InvalidArgumentError(absl::StrCat(
          "request has more than ", limits_.payloads, " payloads"));
    }
    SplitRequest::Payload payload;
    payload.first = out_.fragments.size();
    payload.size_bytes = length;
    if (!cursor_.Read(length, [&](const std::byte* data, size_t size_bytes) {
          out_.fragments.push_back({data, size_bytes});
        })) {
      return Malformed("length of payload");
    }
    payload.count = out_.fragments.size() - payload.first;
    out_.payloads.push_back(payload);
    return absl::OkStatus();
  }

  absl::Status CopyBytes(size_t size_bytes) {
    if (size_bytes > limits_.metadata_bytes) return TooMuch();
    if (!cursor_.Read(size_bytes, [&](const std::byte* data, size_t run) {
          out_.metadata.append(reinterpret_cast<const char*>(data), run);
        })) {
      return Malformed("length");
    }
    return absl::OkStatus();
  }

  // The value of a field that is no group.
  absl::Status CopyValue(uint32_t wire_type) {
    uint64_t varint;
    uint32_t length;
    switch (wire_type) {
      case kVarint:
        return ReadVarint(10, &varint) ? absl::OkStatus() : Malformed("varint");
      case kFixed64:
        return CopyBytes(8);
      case kFixed32:
        return CopyBytes(4);
      case kLengthDelimited:
        if (!ReadLength(&length)) return Malformed("length");
        return CopyBytes(length);
      default:
        return Malformed("wire type");
    }
  }

  // The field after its tag; of a group, all to its end.
  absl::Status CopyField(uint32_t tag) {
    std::array<uint32_t, kMaxGroupDepth> open;
    int depth = 0;
    while (true) {
      const uint32_t wire_type = tag & 7;
      if (wire_type == kStartGroup) {
        if (depth == kMaxGroupDepth) return Malformed("depth of groups");
        open[depth++] = tag >> 3;
      } else if (wire_type == kEndGroup) {
        if (depth == 0 || open[depth - 1] != tag >> 3) {
          return Malformed("end of group");
        }
        --depth;
      } else if (absl::Status status = CopyValue(wire_type); !status.ok()) {
        return status;
      }
      if (depth == 0) return absl::OkStatus();
      if (out_.metadata.size() > limits_.metadata_bytes) return TooMuch();
      if (!ReadTag(&tag)) return Malformed("tag");
    }
  }

  Cursor cursor_;
  const SplitLimits& limits_;
  const uint32_t payload_tag_;
  SplitRequest& out_;
};

}  // namespace

absl::Status Split(absl::Span<const Fragment> bytes, const SplitLimits& limits,
                   SplitRequest* out, PayloadField field) {
  *out = SplitRequest();
  return Splitter(bytes, limits, field, out).Run();
}

}  // namespace actserve
