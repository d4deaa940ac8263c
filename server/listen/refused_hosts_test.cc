#include "server/listen/refused_hosts.h"

#include <gtest/gtest.h>

#include "absl/time/time.h"

namespace actserve {
namespace {

// How long a host that is refused at `now` stays so, in seconds.
int64_t SecondsFrom(const RefusedHosts& hosts, absl::Time now) {
  absl::Time time = now;
  while (hosts.IsRefused("host", time)) time += absl::Seconds(1);
  return absl::ToInt64Seconds(time - now);
}

TEST(RefusedHosts, AreRefusedForAWhile) {
  RefusedHosts hosts;
  const absl::Time now = absl::UnixEpoch();

  hosts.Refuse("host", now);

  EXPECT_EQ(SecondsFrom(hosts, now), 3);
  EXPECT_FALSE(hosts.IsRefused("other", now));
}

TEST(RefusedHosts, AreRefusedOnceAtATime) {
  RefusedHosts hosts;
  const absl::Time now = absl::UnixEpoch();

  hosts.Refuse("host", now);
  hosts.Refuse("host", now + absl::Seconds(2));

  EXPECT_EQ(SecondsFrom(hosts, now), 3);
}

TEST(RefusedHosts, AreRefusedForLongerEachTime) {
  RefusedHosts hosts;
  absl::Time now = absl::UnixEpoch();
  for (const int seconds : {3, 6, 12, 24, 48, 60, 60}) {
    hosts.Refuse("host", now);
    EXPECT_EQ(SecondsFrom(hosts, now), seconds);
    now += absl::Seconds(seconds + 59);
  }
}

TEST(RefusedHosts, AreForgivenInTheEnd) {
  RefusedHosts hosts;
  const absl::Time now = absl::UnixEpoch();
  hosts.Refuse("host", now);

  const absl::Time later = now + absl::Seconds(63);
  hosts.Refuse("host", later);

  EXPECT_EQ(SecondsFrom(hosts, later), 3);
}

}  // namespace
}  // namespace actserve
