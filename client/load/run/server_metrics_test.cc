#include "client/load/run/server_metrics.h"

#include "client/load/run/stability.h"
#include "gtest/gtest.h"

namespace actserve {
namespace {

constexpr char kText[] =
    "# HELP a something\n"
    "# TYPE a counter\n"
    "a{x=\"1 }\"} 2\n"
    "a{x=\"2\"} 3.5e1 1700000000\n"
    "ab 7\n"
    "broken\n"
    "broken x\n"
    "h_bucket{le=\"0.1\"} 10\n"
    "h_bucket{le=\"0.2\"} 30\n"
    "h_bucket{le=\"+Inf\"} 40\n";

TEST(ServerMetrics, ReadsSeriesAndSumsThem) {
  const MetricValues values = ParseMetrics(kText);

  EXPECT_EQ(values.size(), 6u);
  EXPECT_EQ(MetricSum(values, "a"), 37);
  EXPECT_EQ(MetricSum(values, "a{x=\"2\"}"), 35);
  EXPECT_EQ(MetricSum(values, "ab"), 7);
  EXPECT_EQ(MetricSum(values, "none"), 0);
}

// Of the 20 that came between, 5 lie below 0.1 and 10 from there to 0.2.
TEST(ServerMetrics, QuantilesAreThoseOfWhatCameBetween) {
  const MetricValues before = ParseMetrics(
      "h_bucket{le=\"0.1\"} 5\nh_bucket{le=\"0.2\"} 15\n"
      "h_bucket{le=\"+Inf\"} 20\n");
  const MetricValues after = ParseMetrics(kText);

  EXPECT_DOUBLE_EQ(MetricQuantile(before, after, "h", 0.5), 0.15);
  EXPECT_DOUBLE_EQ(MetricQuantile(before, after, "h", 0.125), 0.05);
  EXPECT_DOUBLE_EQ(MetricQuantile(before, after, "h", 0.99), 0.2);
  EXPECT_EQ(MetricQuantile(after, after, "h", 0.5), 0);
}

TEST(Stability, LooksAtTheLastThreeWindows) {
  const StabilityRule rule;

  EXPECT_FALSE(IsStable({{100, 1}, {100, 1}}, rule));
  EXPECT_TRUE(IsStable({{10, 9}, {100, 1}, {109, 1.09}, {105, 1}}, rule));
  EXPECT_FALSE(IsStable({{100, 1}, {111, 1}, {100, 1}}, rule));
  EXPECT_FALSE(IsStable({{100, 1}, {100, 1}, {100, 1.2}}, rule));
  EXPECT_FALSE(IsStable({{0, 0}, {0, 0}, {0, 0}}, rule));
}

}  // namespace
}  // namespace actserve
