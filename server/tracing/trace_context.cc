#include "server/tracing/trace_context.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/random/random.h"
#include "absl/strings/escaping.h"

namespace actserve {
namespace {

// Reads 2 * id->size() lower-case digits. False if they are not, or all zero.
template <typename Id>
bool ReadId(absl::string_view digits, Id* id) {
  const auto is_digit = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  };
  if (!std::all_of(digits.begin(), digits.end(), is_digit)) return false;
  const std::string bytes = absl::HexStringToBytes(digits);
  std::copy(bytes.begin(), bytes.end(), id->begin());
  return true;
}

template <typename Id>
bool IsZero(const Id& id) {
  return std::all_of(id.begin(), id.end(), [](uint8_t b) { return b == 0; });
}

template <typename Id>
Id NewId() {
  // Seeded from the system; not for secrets.
  thread_local absl::InsecureBitGen random;
  Id id;
  do {
    for (size_t i = 0; i < id.size(); i += 8) {
      uint64_t bits = random();
      for (size_t j = i; j < i + 8; ++j, bits >>= 8) {
        id[j] = static_cast<uint8_t>(bits);
      }
    }
  } while (IsZero(id));
  return id;
}

template <typename Id>
std::string Hex(const Id& id) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(id.data()), id.size()));
}

}  // namespace

std::optional<TraceContext> ParseTraceParent(absl::string_view header) {
  // version-traceid-spanid-flags
  constexpr size_t kLength = 55;
  if (header.size() < kLength || header[2] != '-' || header[35] != '-' ||
      header[52] != '-') {
    return std::nullopt;
  }
  std::array<uint8_t, 1> version;
  std::array<uint8_t, 1> flags;
  TraceContext context;
  if (!ReadId(header.substr(0, 2), &version) ||
      !ReadId(header.substr(3, 32), &context.trace_id) ||
      !ReadId(header.substr(36, 16), &context.span_id) ||
      !ReadId(header.substr(53, 2), &flags)) {
    return std::nullopt;
  }
  if (version[0] == 0xFF || IsZero(context.trace_id) ||
      IsZero(context.span_id)) {
    return std::nullopt;
  }
  if (header.size() > kLength && (version[0] == 0 || header[kLength] != '-')) {
    return std::nullopt;
  }
  context.sampled = (flags[0] & 1) != 0;
  return context;
}

bool IsSampled(const TraceId& trace_id, double ratio) {
  if (ratio >= 1) return true;
  uint64_t low = 0;
  for (size_t i = 8; i < 16; ++i) low = low << 8 | trace_id[i];
  // Whole numbers: the ids have more digits than a double.
  return low >> 1 < static_cast<uint64_t>(std::ldexp(ratio, 63));
}

TraceId NewTraceId() { return NewId<TraceId>(); }
SpanId NewSpanId() { return NewId<SpanId>(); }

std::string ToHex(const TraceId& id) { return Hex(id); }
std::string ToHex(const SpanId& id) { return Hex(id); }

}  // namespace actserve
