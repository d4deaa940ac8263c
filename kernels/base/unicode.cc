#include "kernels/base/unicode.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace actserve {
namespace {

struct Range {
  uint32_t first;
  uint32_t last;
};
// Punctuation and unassigned characters lie between them.
constexpr Range kLetters[] = {
    {0x00B5, 0x00B5}, {0x00C0, 0x00D6}, {0x00D8, 0x00F6}, {0x00F8, 0x0131},
    {0x0134, 0x013E}, {0x0141, 0x0148}, {0x014A, 0x017E}, {0x0386, 0x0386},
    {0x0388, 0x038A}, {0x038C, 0x038C}, {0x038E, 0x03A1}, {0x03A3, 0x03CE},
    {0x03D1, 0x03D1}, {0x03D5, 0x03D6}, {0x03F0, 0x03F1}, {0x03F5, 0x03F5},
    {0x0400, 0x0481}, {0x048A, 0x052F},
};

struct Normalization {
  std::string_view symbol;
  std::string_view letter;
};
constexpr Normalization kNormalizations[] = {
    {"\u00B5", "\u03BC"}, {"\u03D1", "\u03B8"}, {"\u03D5", "\u03C6"},
    {"\u03D6", "\u03C0"}, {"\u03F0", "\u03BA"}, {"\u03F1", "\u03C1"},
    {"\u03F5", "\u03B5"},
};

}  // namespace

int DecodeUtf8(std::string_view s, uint32_t& code_point) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(s[i]); };
  const uint8_t first = byte(0);
  int length = 0;
  uint32_t least = 0;
  if (first < 0x80) {
    code_point = first;
    return 1;
  } else if (first >= 0xC2 && first < 0xE0) {
    length = 2, least = 0x80, code_point = first & 0x1F;
  } else if (first >= 0xE0 && first < 0xF0) {
    length = 3, least = 0x800, code_point = first & 0x0F;
  } else if (first >= 0xF0 && first < 0xF5) {
    length = 4, least = 0x10000, code_point = first & 0x07;
  } else {
    return 0;
  }
  if (s.size() < static_cast<size_t>(length)) return 0;
  for (int i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code_point = code_point << 6 | (byte(i) & 0x3F);
  }
  const bool surrogate = code_point >= 0xD800 && code_point < 0xE000;
  if (code_point < least || code_point > 0x10FFFF || surrogate) return 0;
  return length;
}

bool IsLetter(uint32_t code_point) {
  return std::any_of(
      std::begin(kLetters), std::end(kLetters), [&](const Range& range) {
        return range.first <= code_point && code_point <= range.last;
      });
}

std::string NormalizedName(std::string_view name) {
  std::string result;
  while (!name.empty()) {
    uint32_t code_point = 0;
    const int length = std::max(DecodeUtf8(name, code_point), 1);
    std::string_view character = name.substr(0, length);
    for (const Normalization& row : kNormalizations) {
      if (row.symbol == character) character = row.letter;
    }
    result += character;
    name.remove_prefix(length);
  }
  return result;
}

}  // namespace actserve
