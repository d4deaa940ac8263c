#include "client/load/schedule/arrivals.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace actserve {
namespace {

ArrivalPlan Constant(double rate, bool poisson) {
  return {poisson, {{.from_rate = rate, .to_rate = rate}}};
}

// Seconds of the first `count` arrivals.
std::vector<double> Take(const ArrivalPlan& plan, uint64_t seed, int count) {
  Arrivals arrivals(plan, seed);
  std::vector<double> times;
  while (static_cast<int>(times.size()) < count) {
    const auto next = arrivals.Next();
    if (!next) break;
    times.push_back(static_cast<double>(*next) / 1e9);
  }
  return times;
}

TEST(Arrivals, ConstantOnesAreEvenlySpaced) {
  const std::vector<double> times = Take(Constant(250, false), 1, 1000);

  for (int i = 0; i < 1000; ++i) ASSERT_NEAR(times[i], (i + 1) / 250.0, 1e-8);
}

TEST(Arrivals, PoissonOnesHaveTheMeanAndTheDistribution) {
  constexpr int kCount = 100'000;
  constexpr int kBins = 20;
  const std::vector<double> times = Take(Constant(1000, true), 7, kCount);

  // The mean of n exponential gaps is within 5 standard errors, 1/sqrt(n).
  EXPECT_NEAR(times.back() / kCount * 1000, 1, 5 / std::sqrt(kCount));
  // Chi-square over bins of equal probability: of 19 degrees of freedom, above
  // 43.8 once in a thousand seeds.
  std::vector<int> bins(kBins);
  double before = 0;
  for (const double time : times) {
    const double below = -std::expm1(-(time - before) * 1000);
    ++bins[std::min(kBins - 1, static_cast<int>(below * kBins))];
    before = time;
  }
  double chi_square = 0;
  constexpr double kExpected = static_cast<double>(kCount) / kBins;
  for (const int count : bins) {
    chi_square += (count - kExpected) * (count - kExpected) / kExpected;
  }
  EXPECT_LT(chi_square, 43.8);
}

TEST(Arrivals, TheSeedDecides) {
  const ArrivalPlan plan = Constant(1000, true);

  EXPECT_EQ(Take(plan, 1, 100), Take(plan, 1, 100));
  EXPECT_NE(Take(plan, 1, 100), Take(plan, 2, 100));
}

// Of a rate that grows from 0 to 200 over 10 s, n have come after
// sqrt(n / 10) seconds.
TEST(Arrivals, ARampFollowsTheIntegralOfItsRate) {
  const std::vector<double> times =
      Take({false, {{.seconds = 10, .from_rate = 0, .to_rate = 200}}}, 1, 2000);

  ASSERT_GE(times.size(), 999u);
  EXPECT_LE(times.size(), 1000u);
  for (size_t i = 0; i < times.size(); ++i) {
    ASSERT_NEAR(times[i], std::sqrt((i + 1) / 10.0), 1e-6) << i;
  }
}

TEST(Arrivals, ARampDownToNothingEnds) {
  const std::vector<double> times =
      Take({false, {{.seconds = 10, .from_rate = 200, .to_rate = 0}}}, 1, 5000);

  EXPECT_GE(times.size(), 999u);
  EXPECT_LE(times.size(), 1000u);
  EXPECT_LE(times.back(), 10);
}

TEST(Arrivals, StepsFollowEachOther) {
  const std::vector<double> times =
      Take({false,
            {{.seconds = 1, .from_rate = 10, .to_rate = 10},
             {.seconds = 1},
             {.seconds = 1, .from_rate = 100, .to_rate = 100}}},
           1, 1000);

  const auto between = [&](double from, double to) {
    return std::count_if(times.begin(), times.end(), [&](double time) {
      return time > from + 1e-6 && time <= to + 1e-6;
    });
  };
  EXPECT_NEAR(between(0, 1), 10, 1);
  EXPECT_EQ(between(1.01, 2), 0);
  EXPECT_NEAR(between(2, 3), 100, 1);
}

}  // namespace
}  // namespace actserve
