#include "kernels/base/unicode.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace actserve {
namespace {

TEST(Unicode, DecodesOnlyWhatIsWellFormed) {
  uint32_t code_point = 0;

  EXPECT_EQ(DecodeUtf8("a", code_point), 1);
  EXPECT_EQ(DecodeUtf8("\u03B1b", code_point), 2);
  EXPECT_EQ(code_point, 0x3B1);
  EXPECT_EQ(DecodeUtf8("\xCE", code_point), 0);
  EXPECT_EQ(DecodeUtf8("\xC0\x80", code_point), 0);
  EXPECT_EQ(DecodeUtf8("\xED\xA0\x80", code_point), 0);
}

TEST(Unicode, LettersAreThoseOfNames) {
  for (uint32_t letter : {0xE9, 0x3B1, 0x3A9, 0x434, 0xB5}) {
    EXPECT_TRUE(IsLetter(letter)) << letter;
  }
  for (uint32_t other : {0xD7, 0xF7, 0xB2, 0x2212, 0x387, 0x221E}) {
    EXPECT_FALSE(IsLetter(other)) << other;
  }
}

TEST(Unicode, NormalizesSymbolsToLetters) {
  EXPECT_EQ(NormalizedName("a\u03D5_\u00B5"), "a\u03C6_\u03BC");
}

}  // namespace
}  // namespace actserve
