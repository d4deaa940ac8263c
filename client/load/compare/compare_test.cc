#include "client/load/compare/compare.h"

#include <vector>

#include "client/load/compare/statistics.h"
#include "client/load/schedule/seeded_random.h"
#include "gtest/gtest.h"

namespace actserve {
namespace {

using nlohmann::json;

// A run of one phase, whose windows scatter by 5 %.
json RunOf(uint64_t seed, int num_windows, double p99, double rate) {
  SeededRandom random(seed, 0);
  const auto noisy = [&](double value) {
    return value * (1 + 0.05 * random.Normal());
  };
  json windows = json::array();
  for (int i = 0; i < num_windows; ++i) {
    windows.push_back({{"rate", noisy(rate)},
                       {"mean", noisy(0.001)},
                       {"p50", noisy(0.001)},
                       {"p99", noisy(p99)},
                       {"errors", 0}});
  }
  return {{"verdict", "passed"},
          {"machine", "this one"},
          {"phases",
           {{{"name", "load"},
             {"workloads",
              {{{"name", "main"},
                {"figures", windows[0]},
                {"windows", windows}}}}}}}};
}

Change::Kind KindOf(const Comparison& comparison, const std::string& what) {
  for (const Change& change : comparison.changes) {
    if (change.what == what) return change.kind;
  }
  ADD_FAILURE() << what;
  return Change::Kind::kNone;
}

// One false alarm in a hundred is what alpha allows; of 40 pairs, 3 or more
// come once in a hundred times.
TEST(Compare, EqualRunsDoNotDiffer) {
  int alarms = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const auto comparison =
        Compare({RunOf(2 * seed, 10, 0.002, 1000)},
                {RunOf(2 * seed + 1, 10, 0.002, 1000)}, {.least_change = 0});
    ASSERT_TRUE(comparison.ok()) << comparison.status();
    for (const Change& change : comparison->changes) {
      alarms += change.kind != Change::Kind::kNone;
    }
  }
  EXPECT_LT(alarms, 3);
}

TEST(Compare, FindsTenPercent) {
  const auto slower =
      Compare({RunOf(1, 15, 0.002, 1000)}, {RunOf(2, 15, 0.0022, 1000)}, {});
  const auto faster =
      Compare({RunOf(1, 15, 0.002, 1000)}, {RunOf(2, 15, 0.002, 1100)}, {});

  ASSERT_TRUE(slower.ok() && faster.ok());
  EXPECT_EQ(KindOf(*slower, "load.main.p99"), Change::Kind::kWorse);
  EXPECT_EQ(KindOf(*slower, "load.main.p50"), Change::Kind::kNone);
  EXPECT_EQ(KindOf(*slower, "load.main.rate"), Change::Kind::kNone);
  EXPECT_EQ(KindOf(*faster, "load.main.rate"), Change::Kind::kBetter);
  for (const Change& change : slower->changes) {
    if (change.what != "load.main.p99") continue;
    EXPECT_LT(change.low, 1.1);
    EXPECT_GT(change.high, 1.1);
    EXPECT_GT(change.low, 1);
  }
}

TEST(Compare, DoesNotTellWhatIsTooSmallToMatter) {
  const auto comparison =
      Compare({RunOf(1, 200, 0.002, 1000)}, {RunOf(2, 200, 0.0021, 1000)},
              {.least_change = 0.1});

  ASSERT_TRUE(comparison.ok());
  EXPECT_EQ(KindOf(*comparison, "load.main.p99"), Change::Kind::kNone);
}

TEST(Compare, RefusesWhatCannotTell) {
  EXPECT_EQ(Compare({RunOf(1, 4, 1, 1)}, {RunOf(2, 9, 1, 1)}, {}).status(),
            absl::InvalidArgumentError(
                "nothing to compare: load.main: 4 windows are too few to "
                "tell, at least 5"));
}

TEST(Compare, TakesRunsAsSamplesWhereThereAreEnough) {
  std::vector<json> before, after;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    before.push_back(RunOf(seed, 1, 0.002, 1000));
    after.push_back(RunOf(100 + seed, 1, 0.004, 1000));
  }
  const auto comparison = Compare(before, after, {});

  ASSERT_TRUE(comparison.ok()) << comparison.status();
  EXPECT_EQ(comparison->samples, "runs");
  // With 6 runs a side the least p-value is 2 of 924: too much for 5 figures
  // at a hundredth, and enough at a tenth.
  EXPECT_EQ(KindOf(*Compare(before, after, {.alpha = 0.1}), "load.main.p99"),
            Change::Kind::kWorse);
}

TEST(Statistics, TheRankTestHasTheExactChance) {
  // Of the 70 ways to choose 4 of 8, 2 are as far apart as these.
  EXPECT_NEAR(RankTest({1, 2, 3, 4}, {5, 6, 7, 8}), 2 / 70.0, 0.005);
  EXPECT_NEAR(RankTest({1, 1, 1}, {1, 1, 1}), 1, 1e-9);
}

TEST(Statistics, HolmKeepsTheShareOfFalseLists) {
  EXPECT_EQ(Significant({0.01, 0.04, 0.03, 0.005}, 0.05),
            (std::vector<bool>{true, false, false, true}));
}

}  // namespace
}  // namespace actserve
