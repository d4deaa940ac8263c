#include "client/cpp/balance/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"

namespace actserve {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(60);
const absl::Time kStart = absl::FromUnixSeconds(1000);

TEST(LookUpSchedule, RepeatsEvery30Seconds) {
  LookUpSchedule schedule;
  EXPECT_TRUE(schedule.IsDue(kStart));
  schedule.Begin(kStart);
  EXPECT_FALSE(schedule.IsDue(kStart + absl::Hours(1)));  // it runs
  schedule.End(true);

  EXPECT_FALSE(schedule.IsDue(kStart + absl::Seconds(29)));
  EXPECT_TRUE(schedule.IsDue(kStart + absl::Seconds(30)));
}

TEST(LookUpSchedule, AFailureOfAReplicaShortensItToOneSecond) {
  LookUpSchedule schedule;
  schedule.Begin(kStart);
  schedule.End(true);
  schedule.Fail();

  EXPECT_FALSE(schedule.IsDue(kStart + absl::Milliseconds(999)));
  EXPECT_TRUE(schedule.IsDue(kStart + absl::Seconds(1)));

  schedule.Begin(kStart + absl::Seconds(1));
  schedule.End(true);
  EXPECT_FALSE(schedule.IsDue(kStart + absl::Seconds(3)));
}

TEST(LookUpSchedule, SoDoesAFailureOfALookup) {
  LookUpSchedule schedule;
  schedule.Begin(kStart);
  schedule.End(false);

  EXPECT_FALSE(schedule.IsDue(kStart + absl::Milliseconds(999)));
  EXPECT_TRUE(schedule.IsDue(kStart + absl::Seconds(1)));
}

// Names whose addresses a test sets.
class FakeNames {
 public:
  LookUp look_up() {
    return [this](const HostPort& name) {
      std::lock_guard lock(mutex_);
      ++num_lookups_;
      asked_ = name.host + " " + name.port;
      return answer_;
    };
  }
  void Set(absl::StatusOr<std::vector<std::string>> answer) {
    std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }
  int num_lookups() {
    std::lock_guard lock(mutex_);
    return num_lookups_;
  }
  std::string asked() {
    std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  std::mutex mutex_;
  int num_lookups_ = 0;
  std::string asked_;
  absl::StatusOr<std::vector<std::string>> answer_ =
      absl::UnavailableError("no such name");
};

TEST(Resolver, KnowsNothingBeforeTheFirstAnswer) {
  FakeNames names;
  Resolver resolver({{"host", "1"}}, names.look_up());

  EXPECT_THAT(resolver.Current(kStart), ElementsAre(nullptr));
  ASSERT_TRUE(resolver.AwaitFor(kPatience));

  EXPECT_EQ(names.asked(), "host 1");
  EXPECT_THAT(resolver.Current(kStart), ElementsAre(nullptr));
  EXPECT_EQ(resolver.status(), absl::UnavailableError("no such name"));
  EXPECT_EQ(names.num_lookups(), 1);
}

TEST(Resolver, KeepsTheOldAnswerWhereALookupFails) {
  FakeNames names;
  names.Set(std::vector<std::string>{"ipv4:1.2.3.4:1"});
  Resolver resolver({{"host", "1"}}, names.look_up());
  resolver.Current(kStart);
  ASSERT_TRUE(resolver.AwaitFor(kPatience));
  names.Set(absl::UnavailableError("no such name"));
  resolver.Fail();

  resolver.Current(kStart + absl::Seconds(1));
  ASSERT_TRUE(resolver.AwaitFor(kPatience));

  const auto answers = resolver.Current(kStart + absl::Seconds(1));
  EXPECT_EQ(names.num_lookups(), 2);
  EXPECT_THAT(*answers[0], ElementsAre("ipv4:1.2.3.4:1"));
  EXPECT_TRUE(resolver.status().ok());
}

TEST(Resolver, TakesANewAnswer) {
  FakeNames names;
  names.Set(std::vector<std::string>{"ipv4:1.2.3.4:1"});
  Resolver resolver({{"host", "1"}}, names.look_up());
  resolver.Current(kStart);
  ASSERT_TRUE(resolver.AwaitFor(kPatience));
  names.Set(std::vector<std::string>{"ipv4:1.2.3.5:1", "ipv4:1.2.3.4:1"});

  resolver.Current(kStart + absl::Seconds(30));
  ASSERT_TRUE(resolver.AwaitFor(kPatience));

  EXPECT_THAT(*resolver.Current(kStart + absl::Seconds(30))[0],
              ElementsAre("ipv4:1.2.3.5:1", "ipv4:1.2.3.4:1"));
}

TEST(Resolver, WaitsForNoLookupWhenItEnds) {
  const auto leave = std::make_shared<absl::Notification>();
  {
    Resolver resolver({{"host", "1"}}, [leave](const HostPort&) {
      leave->WaitForNotification();
      return std::vector<std::string>();
    });
    resolver.Current(kStart);
    EXPECT_FALSE(resolver.AwaitFor(absl::Milliseconds(1)));
  }
  leave->Notify();
}

TEST(LookUpBySystem, GivesTargetsOfGrpc) {
  EXPECT_THAT(*LookUpBySystem({"127.0.0.1", "80"}),
              ElementsAre("ipv4:127.0.0.1:80"));
  EXPECT_THAT(*LookUpBySystem({"::1", "80"}), ElementsAre("ipv6:[::1]:80"));
  EXPECT_THAT(*LookUpBySystem({"localhost", "80"}),
              Contains("ipv4:127.0.0.1:80"));
}

TEST(LookUpBySystem, TellsWhichNameItDidNotFind) {
  // RFC 6761: no such name ever exists.
  const auto found = LookUpBySystem({"host.invalid", "80"});

  EXPECT_EQ(found.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(found.status().message(),
              HasSubstr("name 'host.invalid' is not resolved: "));
}

}  // namespace
}  // namespace actserve
