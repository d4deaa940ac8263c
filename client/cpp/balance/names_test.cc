// The client with names that it looks up, where that fails or lasts.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "client/cpp/replicas.h"
#include "client/cpp/testing/fake_server.h"

namespace actserve {
namespace {

using ::actserve::testing::FakeServer;
using ::testing::SizeIs;

constexpr char kInfo[] = "/actserve.v1.ActivationService/GetServerInfo";

Bounds WithinSeconds(double seconds) {
  return {absl::Now() + absl::Seconds(seconds), nullptr, kMaxAttempts};
}

TEST(Names, ThatAreNotFoundAreAskedForAgain) {
  std::atomic<int> num_lookups = 0;
  FakeServer server;
  Replicas replicas(
      "dns:///replicas.localhost:50051",
      [&](const HostPort&) -> absl::StatusOr<std::vector<std::string>> {
        if (num_lookups++ == 0) {
          return absl::UnavailableError("no such name");
        }
        return std::vector<std::string>{"ipv4:" + server.address()};
      });
  ReplicaPtr place;
  Bounds once = WithinSeconds(30);
  once.max_attempts = 1;
  EXPECT_EQ(replicas.Call(kInfo, {}, once, place).status(),
            absl::UnavailableError("no such name"));

  EXPECT_TRUE(replicas.Call(kInfo, {}, WithinSeconds(30), place).ok());

  EXPECT_EQ(num_lookups, 2);
}

TEST(Names, AWaitForThemEnds) {
  const auto leave = std::make_shared<absl::Notification>();
  Replicas replicas("dns:///replicas.localhost:50051",
                    [leave](const HostPort&) {
                      leave->WaitForNotification();
                      return std::vector<std::string>();
                    });
  ReplicaPtr place;

  EXPECT_EQ(replicas.Call(kInfo, {}, WithinSeconds(0.05), place).status(),
            absl::UnavailableError("no address is known yet"));

  Cancellation cancellation;
  cancellation.Cancel();
  Bounds bounds = WithinSeconds(30);
  bounds.cancellation = &cancellation;
  EXPECT_EQ(replicas.Call(kInfo, {}, bounds, place).status().code(),
            absl::StatusCode::kCancelled);
  leave->Notify();
}

TEST(Names, ThatAreNotFoundAreNotHealthy) {
  FakeServer server;
  // RFC 6761: no such name ever exists.
  auto client = *Client::Connect("dns:///host.invalid:1," + server.address());

  const auto healths = client->HealthOfReplicas();

  ASSERT_TRUE(healths.ok());
  ASSERT_THAT(*healths, SizeIs(2));
  EXPECT_TRUE((*healths)[0].status.ok());
  EXPECT_EQ((*healths)[1].address, "dns:///host.invalid:1");
  EXPECT_EQ((*healths)[1].status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(client->Health().ok());
}

TEST(Names, OfTheSystemWork) {
  FakeServer server;
  const std::vector<std::string> parts = absl::StrSplit(server.address(), ':');
  auto client = *Client::Connect("dns:///localhost:" + parts[1]);

  for (int i = 0; i < 5; ++i) {
    const auto info = client->GetServerInfo();
    EXPECT_TRUE(info.ok()) << info.status();
  }
}

}  // namespace
}  // namespace actserve
