#include "kernels/base/sha256.h"

#include <gtest/gtest.h>

namespace actserve {
namespace {

// The digests of FIPS 180-2, appendix B.1, and of nothing.
constexpr char kAbc[] =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kNothing[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(Sha256, HasTheDigestsOfTheStandard) {
  EXPECT_EQ(Sha256Hex("abc"), kAbc);
  EXPECT_EQ(Sha256Hex(""), kNothing);
  EXPECT_EQ(Sha256("abc")[1], 0x78);
}

TEST(Sha256, NamesItselfInAnId) {
  EXPECT_EQ(Sha256Id("abc"), std::string("sha256:") + kAbc);
}

}  // namespace
}  // namespace actserve
