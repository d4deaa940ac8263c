#include "kernels/base/text.h"

#include <gtest/gtest.h>

#include <string>

namespace actserve {
namespace {

TEST(Quoted, EscapesAndShortens) {
  EXPECT_EQ(Quoted("x"), "'x'");
  EXPECT_EQ(Quoted("a'b\n\x01"), R"('a\'b\n\x01')");
  EXPECT_EQ(Quoted("\xce\xb1"), "'\xce\xb1'");
  EXPECT_EQ(Quoted(std::string(100, 'a')), "'" + std::string(64, 'a') + "...'");
}

}  // namespace
}  // namespace actserve
