#include "server/identity/tenant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "server/identity/tenants.h"
#include "server/scheduling/retry_after.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;

const absl::Time kStart = absl::FromUnixSeconds(1'000'000);

// Takes requests at one moment until one is refused.
int CountTaken(Tenant& tenant, absl::Time now) {
  int taken = 0;
  while (taken < 10'000 && tenant.TakeRequest(now).ok()) ++taken;
  return taken;
}

TEST(Tenant, HasNoQuotasAtFirst) {
  Tenant tenant("a", 1);

  EXPECT_EQ(CountTaken(tenant, kStart), 10'000);
  EXPECT_TRUE(tenant.TakeBytes(int64_t{1} << 40).ok());
  EXPECT_EQ(tenant.compile_time_per_minute(), absl::InfiniteDuration());
}

TEST(Tenant, TakesASecondsWorthOfRequestsAndThenTheRate) {
  Tenant tenant("a", 1);
  tenant.SetQuotas({.requests_per_second = 100});

  EXPECT_EQ(CountTaken(tenant, kStart), 100);
  EXPECT_EQ(CountTaken(tenant, kStart + absl::Milliseconds(50)), 5);
  EXPECT_EQ(CountTaken(tenant, kStart + absl::Hours(1)), 100);
}

TEST(Tenant, SaysWhenTheNextRequestMayCome) {
  Tenant tenant("a", 1);
  tenant.SetQuotas({.requests_per_second = 4});
  CountTaken(tenant, kStart);

  const absl::Status refused = tenant.TakeRequest(kStart);

  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("limit 4 a second"));
  EXPECT_EQ(RetryAfter(refused), absl::Milliseconds(250));
  EXPECT_FALSE(tenant.TakeRequest(kStart + absl::Milliseconds(249)).ok());
  EXPECT_TRUE(tenant.TakeRequest(kStart + absl::Milliseconds(250)).ok());
}

TEST(Tenant, AClockThatIsSetBackLocksNobodyOut) {
  Tenant tenant("a", 1);
  tenant.SetQuotas({.requests_per_second = 100});
  CountTaken(tenant, kStart + absl::Hours(1));

  EXPECT_EQ(CountTaken(tenant, kStart), 0);
  EXPECT_EQ(CountTaken(tenant, kStart + absl::Milliseconds(50)), 5);
}

TEST(Tenant, AHigherQuotaHoldsAtOnce) {
  Tenant tenant("a", 1);
  tenant.SetQuotas({.requests_per_second = 0.001});
  EXPECT_EQ(CountTaken(tenant, kStart), 1);
  tenant.SetQuotas({.requests_per_second = 100});

  CountTaken(tenant, kStart);
  EXPECT_EQ(CountTaken(tenant, kStart + absl::Milliseconds(50)), 5);
}

TEST(Tenant, TakesOneRequestAtARateBelowOneASecond) {
  Tenant tenant("a", 1);
  tenant.SetQuotas({.requests_per_second = 0.1});

  EXPECT_EQ(CountTaken(tenant, kStart), 1);
  EXPECT_EQ(CountTaken(tenant, kStart + absl::Seconds(9)), 0);
  EXPECT_EQ(CountTaken(tenant, kStart + absl::Seconds(10)), 1);
}

TEST(Tenant, ThreadsTakeNoMoreThanTheQuotaTogether) {
  Tenant tenant("a", 1);
  tenant.SetQuotas({.requests_per_second = 1000, .bytes_in_flight = 1000});
  std::atomic<int> taken = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      taken += CountTaken(tenant, kStart);
      for (int k = 0; k < 1000; ++k) {
        if (!tenant.TakeBytes(400).ok()) continue;
        EXPECT_LE(tenant.bytes_in_flight(), 1000 + 3 * 400);
        tenant.GiveBackBytes(400);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(taken, 1000);
  EXPECT_EQ(tenant.bytes_in_flight(), 0);
}

TEST(Tenant, RefusesBytesBeyondItsQuota) {
  Tenant tenant("a", 1);
  tenant.SetQuotas({.bytes_in_flight = 1000});

  EXPECT_TRUE(tenant.TakeBytes(600).ok());
  const absl::Status refused = tenant.TakeBytes(401);
  EXPECT_EQ(refused.message(),
            "401 bytes on top of 600 in flight, limit 1000 for this tenant "
            "(bytes_in_flight)");
  EXPECT_TRUE(tenant.TakeBytes(400).ok());
  EXPECT_FALSE(tenant.TakeBytes(TenantQuotas::kNoLimit).ok());
}

TEST(Tenants, AreTheSameByName) {
  Tenants tenants(2);

  Tenant* const a = tenants.Get("a");
  EXPECT_EQ(tenants.Get("a"), a);
  EXPECT_NE(tenants.Get("b"), a);
  EXPECT_NE(tenants.Get("b")->number(), a->number());
  EXPECT_EQ(a->name(), "a");
}

TEST(Tenants, AreOnlySoMany) {
  constexpr int kMaxTenants = 10;
  Tenants tenants(kMaxTenants);
  for (int i = 0; i < kMaxTenants; ++i) {
    ASSERT_NE(tenants.Get(std::to_string(i)), nullptr);
  }

  EXPECT_EQ(tenants.Get("one more"), nullptr);
  EXPECT_NE(tenants.Get("7"), nullptr);
}

}  // namespace
}  // namespace actserve
