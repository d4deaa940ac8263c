#include "kernels/graph/summation.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/device/testing/reference.h"

namespace actserve {
namespace {

template <typename T>
double Sum(const std::vector<T>& contributions) {
  std::vector<double> tiles;
  for (size_t begin = 0; begin < contributions.size();
       begin += kSumTileElements) {
    tiles.push_back(SumTile(
        absl::MakeConstSpan(contributions).subspan(begin, kSumTileElements)));
  }
  return SumTiles(absl::MakeSpan(tiles));
}

template <typename T>
std::vector<T> RandomNumbers(size_t count) {
  std::mt19937 random(count);
  std::normal_distribution<T> numbers;
  std::vector<T> result(count);
  for (T& number : result) number = std::exp(4 * numbers(random)) - 1;
  return result;
}

TEST(Summation, FollowsTheStatedTree) {
  for (size_t count : {0, 1, 2, 127, 128, 129, 4095, 4096, 4097, 8192, 12288,
                       20480, 100003, 1000003}) {
    SCOPED_TRACE(count);
    const auto singles = RandomNumbers<float>(count);
    const auto doubles = RandomNumbers<double>(count);

    EXPECT_EQ(Sum(singles),
              testing::SumByTheBook({singles.begin(), singles.end()}));
    EXPECT_EQ(Sum(doubles), testing::SumByTheBook(doubles));
  }
}

TEST(Summation, OfPiecesHasTheBitsOfTheWhole) {
  for (size_t piece : {4096, 8192, 65536}) {
    for (size_t count : {0, 1, 4096, 4097, 65536, 65537, 100003, 1000003}) {
      SCOPED_TRACE(::testing::Message() << count << " in pieces of " << piece);
      const auto numbers = RandomNumbers<float>(count);
      PiecewiseSum sum;
      for (size_t at = 0; at < count; at += piece) {
        sum.Add(actserve::Sum(absl::MakeConstSpan(numbers).subspan(at, piece)));
      }

      EXPECT_EQ(sum.Total(), Sum(numbers));
    }
  }
}

TEST(Summation, OfNothingIsPlusZero) {
  const double sum = SumTiles({});

  EXPECT_EQ(sum, 0);
  EXPECT_FALSE(std::signbit(sum));
}

TEST(Summation, OfManyEqualNumbersIsExact) {
  // A running float32 sum would stop at 2^24.
  const std::vector<float> ones(50'000'000, 1.0f);

  EXPECT_EQ(Sum(ones), 5e7);
}

TEST(Summation, KeepsInfinityAndNan) {
  std::vector<float> numbers(10000, 1.0f);
  numbers[9000] = INFINITY;
  EXPECT_EQ(Sum(numbers), INFINITY);

  numbers[17] = -INFINITY;
  EXPECT_TRUE(std::isnan(Sum(numbers)));
}

}  // namespace
}  // namespace actserve
