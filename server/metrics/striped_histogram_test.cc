#include "server/metrics/striped_histogram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace actserve {
namespace {

using ::testing::ElementsAre;

constexpr int64_t kBounds[] = {10, 20, 40};

TEST(StripedHistogram, IsEmptyAtFirst) {
  const auto read = StripedHistogram(kBounds).Read();

  EXPECT_THAT(read.counts, ElementsAre(0, 0, 0, 0));
  EXPECT_EQ(read.sum, 0);
}

TEST(StripedHistogram, CountsABoundInItsOwnBucket) {
  StripedHistogram histogram(kBounds);

  for (int64_t value : {0, 10, 11, 20, 40, 41, 1000}) histogram.Observe(value);

  EXPECT_THAT(histogram.Read().counts, ElementsAre(2, 2, 1, 2));
  EXPECT_EQ(histogram.Read().sum, 1122);
}

// More threads than stripes, so that some share one.
TEST(StripedHistogram, LosesNothing) {
  StripedHistogram histogram(kBounds);
  std::vector<std::thread> threads;
  for (int i = 0; i < 40; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 1000; ++j) histogram.Observe(j % 50);
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_THAT(histogram.Read().counts,
              ElementsAre(11 * 800, 10 * 800, 20 * 800, 9 * 800));
  EXPECT_EQ(histogram.Read().sum, 40 * 20 * (49 * 50 / 2));
}

}  // namespace
}  // namespace actserve
