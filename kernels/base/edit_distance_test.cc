#include "kernels/base/edit_distance.h"

#include <gtest/gtest.h>

#include <string_view>

namespace actserve {
namespace {

TEST(EditDistance, CountsEdits) {
  const struct {
    std::string_view a, b;
    int want;
  } cases[] = {
      {"", "", 0},         {"", "abc", 3},
      {"relu", "relu", 0}, {"relu", "rely", 1},
      {"relu", "elu", 1},  {"relu", "prelu", 1},
      {"relu", "rleu", 1}, {"ab", "ba", 1},
      {"abc", "cab", 2},   {"kitten", "sitting", 3},
      {"ca", "abc", 3},    {"abcd", "badc", 2},
  };
  for (const auto& [a, b, want] : cases) {
    SCOPED_TRACE(a);
    SCOPED_TRACE(b);
    EXPECT_EQ(EditDistance(a, b), want);
    EXPECT_EQ(EditDistance(b, a), want);
  }
}

}  // namespace
}  // namespace actserve
