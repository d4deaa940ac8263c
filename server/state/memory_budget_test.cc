#include "server/state/memory_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/metrics/refusals.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;
using enum MemoryBudget::Half;

// One connection of a peer.
CallerId Peer(uint64_t number) { return {.peer = number, .connection = 1}; }

constexpr int64_t kMax = 1 << 20;
constexpr int64_t kResultsMax = kMax / 2;
constexpr int64_t kRequestsMax = kMax / 2 / 4 * 3;

TEST(MemoryBudget, CountsUntilAChargeGoes) {
  MemoryBudget budget(kMax);
  {
    auto charge = budget.Take(kResults, Peer(1), 1000);
    ASSERT_TRUE(charge.ok()) << charge.status();
    EXPECT_EQ(budget.used_bytes(kResults), 1000);
    EXPECT_EQ(budget.used_bytes(kRequests), 0);
    const MemoryBudget::Charge moved = *std::move(charge);
    EXPECT_EQ(moved.bytes(), 1000);
    EXPECT_EQ(budget.used_bytes(kResults), 1000);
  }
  EXPECT_EQ(budget.used_bytes(kResults), 0);
}

TEST(MemoryBudget, TellsThePeakSinceItWasAsked) {
  MemoryBudget budget(kMax);
  const MemoryBudget::Charge kept = *budget.Take(kResults, Peer(1), 10);
  budget.Take(kResults, Peer(1), 1000).IgnoreError();

  EXPECT_EQ(budget.TakePeak(kResults), 1010);
  EXPECT_EQ(budget.TakePeak(kResults), 10);
}

TEST(MemoryBudget, ReplacingAChargeGivesItBack) {
  MemoryBudget budget(kMax);
  MemoryBudget::Charge charge = *budget.Take(kResults, Peer(1), 1000);

  charge = *budget.Take(kResults, Peer(1), 10);

  EXPECT_EQ(budget.used_bytes(kResults), 10);
}

TEST(MemoryBudget, RefusesWhatDoesNotFit) {
  MemoryBudget budget(kMax);
  const int64_t refused = NumRefused(Refusal::kMemoryRequests);

  const auto charge = budget.Take(kRequests, Peer(1), kRequestsMax + 1);

  EXPECT_EQ(charge.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(charge.status().message()),
              HasSubstr("393217 bytes on top of 0 of this connection, 0 of its "
                        "peer and 0 of all: the limit is 393216"));
  EXPECT_EQ(budget.num_refused(), 1);
  EXPECT_EQ(NumRefused(Refusal::kMemoryRequests) - refused, 1);
  EXPECT_EQ(budget.used_bytes(kRequests), 0);
}

// What callers get who take as much as they can, a thousandth at a time and in
// turns.
std::vector<int64_t> Greedy(MemoryBudget& budget,
                            const std::vector<CallerId>& callers,
                            std::vector<MemoryBudget::Charge>& charges) {
  std::vector<int64_t> got(callers.size(), 0);
  for (bool any = true; any;) {
    any = false;
    for (size_t i = 0; i < callers.size(); ++i) {
      auto charge = budget.Take(kResults, callers[i], kResultsMax / 1000);
      if (!charge.ok()) continue;
      any = true;
      got[i] += charge->bytes();
      charges.push_back(*std::move(charge));
    }
  }
  return got;
}

TEST(MemoryBudget, LeavesRoomForOtherPeers) {
  for (int num_peers : {1, 2, 10}) {
    MemoryBudget budget(kMax);
    std::vector<CallerId> callers;
    for (int peer = 0; peer < num_peers; ++peer) {
      // So many that the bound on one connection does not show.
      for (uint64_t number = 0; number < 20; ++number) {
        callers.push_back({.peer = peer + 7u, .connection = number});
      }
    }
    std::vector<MemoryBudget::Charge> charges;

    Greedy(budget, callers, charges);

    // kShare / (1 + kShare * n) each.
    EXPECT_NEAR(1.0 * budget.used_bytes(kResults) / kResultsMax,
                4.0 * num_peers / (1 + 4 * num_peers), 0.02);
    const int64_t left = kResultsMax - budget.used_bytes(kResults);
    EXPECT_TRUE(budget.Take(kResults, Peer(1000), left / 2).ok());
    EXPECT_FALSE(budget.Take(kResults, callers[0], left / 2).ok());
  }
}

// Calls of a quarter of the half once took all of it: the fourth looked at what
// was free before it.
TEST(MemoryBudget, LargeCallsLeaveRoomToo) {
  for (const int64_t part : {2, 3, 4, 5, 6, 10}) {
    SCOPED_TRACE(part);
    MemoryBudget budget(kMax);
    std::vector<MemoryBudget::Charge> charges;
    for (uint64_t number = 0; number < 20; ++number) {
      auto charge = budget.Take(kResults, {.peer = 1, .connection = number},
                                kResultsMax / part);
      if (charge.ok()) charges.push_back(*std::move(charge));
    }

    EXPECT_GE(charges.size(), 1u);
    EXPECT_LE(budget.used_bytes(kResults), kResultsMax / 5 * 4);
    EXPECT_TRUE(budget.Take(kResults, Peer(2), kResultsMax / 10).ok());
  }
}

TEST(MemoryBudget, LeavesRoomForOtherConnections) {
  MemoryBudget budget(kMax);
  std::vector<MemoryBudget::Charge> charges;

  const int64_t got =
      Greedy(budget, {{.peer = 1, .connection = 1}}, charges)[0];

  // c <= 4 * (4 * (1 - c) - c)
  EXPECT_NEAR(1.0 * got / kResultsMax, 16.0 / 21, 0.01);
  EXPECT_TRUE(
      budget.Take(kResults, {.peer = 1, .connection = 2}, kResultsMax / 40)
          .ok());
}

TEST(MemoryBudget, ChargesOutliveIt) {
  MemoryBudget::Charge charge;
  {
    MemoryBudget budget(kMax);
    charge = *budget.Take(kResults, Peer(1), 10);
  }
  charge = {};
}

TEST(MemoryBudget, CountsWhatManyThreadsTake) {
  MemoryBudget budget(kMax);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&budget, i] {
      for (int n = 0; n < 20'000; ++n) {
        const auto charge = budget.Take(kResults, Peer(i), 1 << 17);
        EXPECT_LE(budget.used_bytes(kResults), 2 * 8 * kResultsMax);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(budget.used_bytes(kResults), 0);
  EXPECT_TRUE(budget.Take(kResults, Peer(1), kResultsMax / 2).ok());
}

TEST(MemoryBudget, CountsWhatATenantHasInFlight) {
  Tenant tenant("a", 1);
  tenant.SetQuotas({.bytes_in_flight = 1000});
  MemoryBudget budget(kMax);
  const CallerId caller = {.peer = 1, .connection = 1, .tenant = &tenant};

  auto request = budget.Take(kRequests, caller, 600);
  ASSERT_TRUE(request.ok());
  const absl::Status refused = budget.Take(kResults, caller, 600).status();
  EXPECT_THAT(std::string(refused.message()), HasSubstr("bytes_in_flight"));
  EXPECT_EQ(budget.num_refused(), 1);
  EXPECT_EQ(budget.used_bytes(kResults), 0);
  request->LeaveFlight();  // a residual keeps it
  EXPECT_EQ(tenant.bytes_in_flight(), 0);
  EXPECT_EQ(budget.used_bytes(kRequests), 600);
  {
    const auto result = budget.Take(kResults, caller, 1000);
    EXPECT_EQ(tenant.bytes_in_flight(), 1000);
  }
  EXPECT_EQ(tenant.bytes_in_flight(), 0);
  EXPECT_FALSE(budget.Take(kRequests, caller, kMax).ok());
  EXPECT_EQ(tenant.bytes_in_flight(), 0) << "what was refused is given back";
}

}  // namespace
}  // namespace actserve
