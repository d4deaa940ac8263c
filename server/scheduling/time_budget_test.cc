#include "server/scheduling/time_budget.h"

#include <gtest/gtest.h>

namespace actserve {
namespace {

using absl::Milliseconds;
using absl::Minutes;
using absl::Seconds;
using absl::ZeroDuration;

const absl::Time kStart = absl::FromUnixSeconds(1000);
const absl::Duration kPerMinute = Seconds(30);

TEST(TimeBudget, AllowsABurstAndThenMakesWait) {
  TimeBudget budget;
  const absl::Duration burst = Seconds(30) * TimeBudget::kBurstMinutes;
  EXPECT_EQ(budget.Wait(1, kPerMinute, kStart), ZeroDuration());

  budget.Charge(1, kPerMinute, burst - Seconds(1), kStart);
  EXPECT_EQ(budget.Wait(1, kPerMinute, kStart), ZeroDuration());

  // Two seconds over, at half a second for each second.
  budget.Charge(1, kPerMinute, Seconds(3), kStart);
  EXPECT_EQ(budget.Wait(1, kPerMinute, kStart), Seconds(4) + Milliseconds(1));
}

TEST(TimeBudget, EndsTheWaitWhenItSaid) {
  TimeBudget budget;
  budget.Charge(1, kPerMinute, Minutes(5), kStart);
  const absl::Duration wait = budget.Wait(1, kPerMinute, kStart);

  EXPECT_GT(budget.Wait(1, kPerMinute, kStart + wait - Milliseconds(10)),
            ZeroDuration());
  EXPECT_EQ(budget.Wait(1, kPerMinute, kStart + wait), ZeroDuration());
}

TEST(TimeBudget, NeverStopsWhoUsesLessThanHisShare) {
  TimeBudget budget;
  for (absl::Time now = kStart; now < kStart + Minutes(60);
       now += Seconds(10)) {
    EXPECT_EQ(budget.Wait(1, kPerMinute, now), ZeroDuration());
    budget.Charge(1, kPerMinute, Seconds(5), now);
  }
}

TEST(TimeBudget, AClockThatIsSetBackLocksNobodyOut) {
  TimeBudget budget;
  const absl::Duration burst = kPerMinute * TimeBudget::kBurstMinutes;
  budget.Charge(1, kPerMinute, burst - Seconds(1), kStart + Minutes(90));

  EXPECT_EQ(budget.Wait(1, kPerMinute, kStart), ZeroDuration());
  budget.Charge(1, kPerMinute, Seconds(3), kStart);
  EXPECT_EQ(budget.Wait(1, kPerMinute, kStart), Seconds(4) + Milliseconds(1));
  EXPECT_EQ(budget.Wait(1, kPerMinute, kStart + Seconds(5)), ZeroDuration());
}

TEST(TimeBudget, TellsWhatIsOwed) {
  TimeBudget budget;
  budget.Charge(1, kPerMinute, Seconds(20), kStart);

  EXPECT_EQ(budget.Owed(1, kStart), Seconds(20));
  EXPECT_EQ(budget.Owed(1, kStart + Seconds(30)), Seconds(5));
  EXPECT_EQ(budget.Owed(1, kStart + Minutes(1)), ZeroDuration());
  EXPECT_EQ(budget.Owed(2, kStart), ZeroDuration());
}

TEST(TimeBudget, KeepsPeersApart) {
  TimeBudget budget;
  budget.Charge(1, kPerMinute, Minutes(60), kStart);

  EXPECT_GT(budget.Wait(1, kPerMinute, kStart), ZeroDuration());
  EXPECT_EQ(budget.Wait(2, kPerMinute, kStart), ZeroDuration());
}

// A clock that was set forward by a day while a program was compiled charged
// the day to its caller, who was then refused for weeks.
TEST(TimeBudget, ChargesNoDayForOnePieceOfWork) {
  TimeBudget budget;
  budget.Charge(1, kPerMinute, Minutes(24 * 60), kStart);
  budget.Charge(2, kPerMinute, Minutes(10), kStart);

  EXPECT_GT(budget.Wait(1, kPerMinute, kStart), ZeroDuration());
  EXPECT_EQ(budget.Wait(1, kPerMinute, kStart),
            budget.Wait(2, kPerMinute, kStart));
}

TEST(TimeBudget, ForgetsWhoOwesNothing) {
  TimeBudget budget;
  for (uint64_t peer = 0; peer < 10000; ++peer) {
    budget.Charge(peer, kPerMinute, Milliseconds(1), kStart + Seconds(peer));
  }

  EXPECT_LE(budget.num_debtors(), 1024);
}

}  // namespace
}  // namespace actserve
