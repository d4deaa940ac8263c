#include "kernels/device/cpu/reduce/reductions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/graph/summation.h"
#include "kernels/math/half.h"

namespace actserve {
namespace {

constexpr int64_t kRuns = 3;
constexpr int64_t kSizes[] = {1,   2,   7,   8,    9,    16,  31,  32,
                              33,  64,  65,  100,  127,  128, 129, 255,
                              256, 300, 895, 1000, 4095, 4096};

class Reductions : public ::testing::TestWithParam<DType> {
 protected:
  // `numbers` as the type stores them, from an odd address on.
  static std::string Stored(const std::vector<double>& numbers) {
    std::string bytes = "?";
    const auto append = [&bytes](auto value) {
      bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
    };
    for (const double number : numbers) {
      switch (GetParam()) {
        case DType::kFloat16:
          append(actserve_f64_to_f16_bits(number));
          break;
        case DType::kBFloat16:
          append(actserve_f64_to_bf16_bits(number));
          break;
        case DType::kFloat32:
          append(static_cast<float>(number));
          break;
        case DType::kFloat64:
          append(number);
      }
    }
    return bytes;
  }
  static double NumberAt(const std::string& stored, int64_t index) {
    const char* at = stored.data() + 1 + index * ItemSizeBytes(GetParam());
    const auto read = [at](auto value) {
      std::memcpy(&value, at, sizeof(value));
      return value;
    };
    switch (GetParam()) {
      case DType::kFloat16:
        return actserve_f16_bits_to_f32(read(uint16_t{}));
      case DType::kBFloat16:
        return actserve_bf16_bits_to_f32(read(uint16_t{}));
      case DType::kFloat32:
        return read(0.0f);
      default:
        return read(0.0);
    }
  }
  static std::vector<double> Random(int64_t count) {
    std::mt19937 random(count);
    std::normal_distribution<double> numbers;
    std::vector<double> result(count);
    for (double& number : result) {
      number = std::exp(3 * numbers(random)) - 1;
    }
    return result;
  }
  static std::vector<double> Maxima(const std::string& stored, int64_t size) {
    if (GetParam() == DType::kFloat64) {
      std::vector<double> maxima(kRuns);
      MaxOfRuns(stored.data() + 1, GetParam(), size, kRuns, maxima.data());
      return maxima;
    }
    std::vector<float> maxima(kRuns);
    MaxOfRuns(stored.data() + 1, GetParam(), size, kRuns, maxima.data());
    return {maxima.begin(), maxima.end()};
  }
};

TEST_P(Reductions, SumsAlongTheStatedTree) {
  for (const int64_t size : kSizes) {
    SCOPED_TRACE(size);
    const std::string stored = Stored(Random(size * kRuns));
    std::vector<double> sums(kRuns);

    SumRuns(stored.data() + 1, GetParam(), size, kRuns, sums.data());

    for (int64_t r = 0; r < kRuns; ++r) {
      std::vector<double> numbers;
      for (int64_t i = 0; i < size; ++i) {
        numbers.push_back(NumberAt(stored, r * size + i));
      }
      EXPECT_EQ(sums[r], SumTile(absl::MakeConstSpan(numbers)));
    }
  }
}

TEST_P(Reductions, TheSumOfMinusZerosIsZero) {
  for (const int64_t size : kSizes) {
    const std::string stored = Stored(std::vector<double>(size, -0.0));
    double sum = -1;

    SumRuns(stored.data() + 1, GetParam(), size, 1, &sum);

    EXPECT_EQ(sum, 0);
    EXPECT_FALSE(std::signbit(sum)) << size;
  }
}

TEST_P(Reductions, FindsTheLargestWhereverItIs) {
  for (const int64_t size : kSizes) {
    SCOPED_TRACE(size);
    std::vector<double> numbers(size * kRuns, -3);
    for (int64_t r = 0; r < kRuns; ++r) {
      numbers[r * size + (r * size / 2) % size] = -1 - r / 4.0;
    }

    EXPECT_EQ(Maxima(Stored(numbers), size),
              (std::vector<double>{-1, -1.25, -1.5}));
  }
}

TEST_P(Reductions, TheMaximumIsNaNIfOneIs) {
  const double inf = std::numeric_limits<double>::infinity();
  for (const int64_t size : kSizes) {
    for (const int64_t at : {int64_t{0}, size / 2, size - 1}) {
      for (const double nan : {std::nan(""), -std::nan("")}) {
        SCOPED_TRACE(absl::StrCat(size, " ", at));
        std::vector<double> numbers(size * kRuns, -inf);
        numbers[size + at] = nan;
        if (size > 1) numbers[size + (at + 1) % size] = inf;

        const std::vector<double> maxima = Maxima(Stored(numbers), size);

        EXPECT_EQ(maxima[0], -inf);
        EXPECT_TRUE(std::isnan(maxima[1]));
        EXPECT_EQ(maxima[2], -inf);
      }
    }
  }
}

TEST(SpreadOverRuns, FillsEachRunWithItsNumber) {
  for (const int64_t size : kSizes) {
    const std::vector<float> numbers = {1, 2, 3};
    std::vector<float> to(size * kRuns + kSpreadPadding, 0.0f);

    SpreadOverRuns(numbers.data(), size, kRuns, to.data());

    for (int64_t i = 0; i < size * kRuns; ++i) {
      ASSERT_EQ(to[i], numbers[i / size]) << size << " " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Reductions,
                         ::testing::Values(DType::kFloat16, DType::kBFloat16,
                                           DType::kFloat32, DType::kFloat64),
                         [](const auto& info) {
                           return std::string(DTypeName(info.param));
                         });

}  // namespace
}  // namespace actserve
