#include "client/cpp/examples/digits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace actserve::examples {
namespace {

using ::testing::HasSubstr;

TEST(Digits, EveryFieldIsRead) {
  const auto digits = ReadDigits(ACTSERVE_DIGITS);

  ASSERT_TRUE(digits.ok()) << digits.status();
  EXPECT_EQ(digits->train_pixels.rows, 1437);
  EXPECT_EQ(digits->test_pixels.rows, 360);
  EXPECT_EQ(digits->train_labels.size(), 1437);
  EXPECT_EQ(digits->test_labels.size(), 360);
  // Each digit is among the pictures about as often as the others.
  for (int digit = 0; digit < Digits::kDigits; ++digit) {
    EXPECT_NEAR(std::count(digits->train_labels.begin(),
                           digits->train_labels.end(), digit),
                144, 15);
  }
  EXPECT_EQ(*std::max_element(digits->train_pixels.elements.begin(),
                              digits->train_pixels.elements.end()),
            1);
  // He's initialization has the variance 2 / 64; the hidden weights are a
  // tenth.
  const auto variance = [](const Matrix& weights) {
    double squares = 0;
    for (const float w : weights.elements) squares += double{w} * w;
    return squares / static_cast<double>(weights.elements.size());
  };
  EXPECT_NEAR(variance(digits->hidden_weights), 0.01 * 2 / 64, 4e-5);
  EXPECT_NEAR(variance(digits->output_weights), 2.0 / 64, 0.004);
}

class BrokenDigits : public ::testing::Test {
 protected:
  BrokenDigits() {
    std::filesystem::create_directories(folder_);
    for (const char* const name : {"digits.u8", "weights.f32"}) {
      std::filesystem::copy_file(
          std::string(ACTSERVE_DIGITS) + "/" + name, folder_ + "/" + name,
          std::filesystem::copy_options::overwrite_existing);
    }
  }
  ~BrokenDigits() override { std::filesystem::remove_all(folder_); }

  // Writes `byte` to digits.u8.
  void Write(int at, char byte) {
    std::fstream file(folder_ + "/digits.u8",
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at).put(byte);
  }
  absl::Status Read() { return ReadDigits(folder_).status(); }

  const std::string folder_ =
      ::testing::TempDir() +
      ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(BrokenDigits, AMissingFileIsNamed) {
  std::filesystem::remove(folder_ + "/weights.f32");

  EXPECT_EQ(Read().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Read().message(), HasSubstr("weights.f32"));
}

TEST_F(BrokenDigits, ACutFileTellsBothSizes) {
  std::filesystem::resize_file(folder_ + "/digits.u8", 1000);

  EXPECT_EQ(Read().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Read().message(), HasSubstr("has 1000 bytes, must have 116805"));
}

TEST_F(BrokenDigits, AWrongLabelIsNamed) {
  Write(65 * 3, 10);

  EXPECT_THAT(Read().message(),
              HasSubstr("picture 3 has the label 10, limit 9"));
}

TEST_F(BrokenDigits, AWrongPixelIsNamed) {
  Write(65 * 1796 + 64, 17);

  EXPECT_THAT(Read().message(),
              HasSubstr("picture 1796 has a pixel of 17, limit 16"));
}

}  // namespace
}  // namespace actserve::examples
