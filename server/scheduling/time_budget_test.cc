#include "server/scheduling/time_budget.h"

#include <gtest/gtest.h>

namespace actserve {
namespace {

using absl::Milliseconds;
using absl::Minutes;
using absl::Seconds;
using absl::ZeroDuration;

const absl::Time kStart = absl::FromUnixSeconds(1000);

TEST(TimeBudget, AllowsABurstAndThenMakesWait) {
  TimeBudget budget(Seconds(30));
  const absl::Duration burst = Seconds(30) * TimeBudget::kBurstMinutes;
  EXPECT_EQ(budget.Wait(1, kStart), ZeroDuration());

  budget.Charge(1, burst - Seconds(1), kStart);
  EXPECT_EQ(budget.Wait(1, kStart), ZeroDuration());

  // Two seconds over, at half a second for each second.
  budget.Charge(1, Seconds(3), kStart);
  EXPECT_EQ(budget.Wait(1, kStart), Seconds(4) + Milliseconds(1));
}

TEST(TimeBudget, EndsTheWaitWhenItSaid) {
  TimeBudget budget(Seconds(30));
  budget.Charge(1, Minutes(5), kStart);
  const absl::Duration wait = budget.Wait(1, kStart);

  EXPECT_GT(budget.Wait(1, kStart + wait - Milliseconds(10)), ZeroDuration());
  EXPECT_EQ(budget.Wait(1, kStart + wait), ZeroDuration());
}

TEST(TimeBudget, NeverStopsWhoUsesLessThanHisShare) {
  TimeBudget budget(Seconds(30));
  for (absl::Time now = kStart; now < kStart + Minutes(60);
       now += Seconds(10)) {
    EXPECT_EQ(budget.Wait(1, now), ZeroDuration());
    budget.Charge(1, Seconds(5), now);
  }
}

TEST(TimeBudget, KeepsPeersApart) {
  TimeBudget budget(Seconds(30));
  budget.Charge(1, Minutes(60), kStart);

  EXPECT_GT(budget.Wait(1, kStart), ZeroDuration());
  EXPECT_EQ(budget.Wait(2, kStart), ZeroDuration());
}

TEST(TimeBudget, ForgetsWhoOwesNothing) {
  TimeBudget budget(Seconds(30));
  for (uint64_t peer = 0; peer < 10000; ++peer) {
    budget.Charge(peer, Milliseconds(1), kStart + Seconds(peer));
  }

  EXPECT_LE(budget.num_debtors(), 1024);
}

}  // namespace
}  // namespace actserve
