#include "client/load/record/histogram.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "client/load/schedule/seeded_random.h"
#include "gtest/gtest.h"

namespace actserve {
namespace {

// The oracle sorts: the value of rank ceil(q n).
int64_t ExactQuantile(std::vector<int64_t> values, double q) {
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<size_t>(std::ceil(q * values.size()));
  return values[std::clamp<size_t>(rank, 1, values.size()) - 1];
}

TEST(Histogram, QuantilesAreExactToThreeDigits) {
  SeededRandom random(1, 0);
  Histogram histogram;
  std::vector<int64_t> values;
  // From 1 us to 60 s, as many in each power of ten.
  for (int i = 0; i < 50'000; ++i) {
    values.push_back(
        std::llround(1000 * std::exp(random.Uniform() * std::log(60e6))));
    histogram.Add(values.back());
  }

  for (const double q : {0.0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0}) {
    const auto want = static_cast<double>(ExactQuantile(values, q));
    EXPECT_NEAR(static_cast<double>(histogram.Quantile(q)), want, want * 0.0005)
        << q;
  }
  EXPECT_EQ(histogram.min(), ExactQuantile(values, 0));
  EXPECT_EQ(histogram.max(), ExactQuantile(values, 1));
}

TEST(Histogram, ShortTimesAreExact) {
  for (const int64_t nanos : {0, 1, 1023, 1024, 2047}) {
    Histogram histogram;
    histogram.Add(nanos);
    histogram.Add(nanos);
    histogram.Add(1'000'000);
    EXPECT_EQ(histogram.Quantile(0.5), nanos);
  }
}

TEST(Histogram, EmptyIsZero) {
  const Histogram histogram;

  EXPECT_EQ(histogram.count(), 0);
  EXPECT_EQ(histogram.Quantile(0.99), 0);
  EXPECT_EQ(histogram.mean(), 0);
  EXPECT_TRUE(histogram.Buckets().empty());
}

TEST(Histogram, MergedIsTheHistogramOfAll) {
  Histogram first, second, all;
  for (int i = 1; i <= 1000; ++i) {
    (i % 3 == 0 ? first : second).Add(i * 12'345);
    all.Add(i * 12'345);
  }

  first.Merge(second);

  EXPECT_EQ(first.count(), 1000);
  EXPECT_EQ(first.min(), all.min());
  EXPECT_EQ(first.max(), all.max());
  EXPECT_DOUBLE_EQ(first.mean(), all.mean());
  for (const double q : {0.1, 0.5, 0.99}) {
    EXPECT_EQ(first.Quantile(q), all.Quantile(q));
  }
}

TEST(Histogram, LongTimesCountAsAMinute) {
  Histogram histogram;
  for (int i = 0; i < 3; ++i) histogram.Add(int64_t{300'000'000'000});
  histogram.Add(int64_t{400'000'000'000});

  EXPECT_EQ(histogram.max(), 400'000'000'000);
  EXPECT_EQ(histogram.count(), 4);
  EXPECT_GE(histogram.Quantile(0.5), Histogram::kMaxNanos);
}

}  // namespace
}  // namespace actserve
