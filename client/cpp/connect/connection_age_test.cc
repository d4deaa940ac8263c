// A server that lets no connection grow old, under load: every call of the
// clients is answered, and right.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

// The connections that calls came over so far, by the ports of their clients.
size_t NumConnections(const testing::ServerProcess& server) {
  const std::string key = "\"peer\":\"";
  std::set<std::string> peers;
  for (const std::string& line : server.log()) {
    const size_t start = line.find(key);
    if (!absl::StrContains(line, "\"event\":\"request\"") ||
        start == std::string::npos) {
      continue;
    }
    const size_t end = line.find('"', start + key.size());
    peers.insert(line.substr(start, end - start));
  }
  return peers.size();
}

TEST(ConnectionAge, LosesNoCallUnderLoad) {
  constexpr size_t kNumClients = 4;
  constexpr size_t kNumConnections = 8 * kNumClients;
  auto server = testing::ServerProcess::Start(
      testing::BinaryOfBuild(ACTSERVED_BINARY),
      {"--log_level=debug", "--max_connection_age=200ms",
       "--max_connection_age_grace=30s"});
  ASSERT_TRUE(server.ok()) << server.status();
  std::atomic<bool> stopped = false;
  std::atomic<int64_t> num_right = 0;
  std::atomic<int64_t> num_wrong = 0;
  std::vector<std::thread> callers;
  for (size_t i = 0; i < kNumClients; ++i) {
    callers.emplace_back([&, i] {
      auto client = Client::Connect((*server)->tcp_address());
      // 4 KiB and 4 MiB.
      std::vector<float> x(i % 2 == 0 ? 1 << 10 : 1 << 20, 0.0f);
      for (size_t j = 0; j < x.size(); ++j) x[j] = static_cast<float>(j) - 50;
      std::vector<float> y(x.size());
      while (!stopped) {
        y.assign(y.size(), -1.0f);
        const absl::Status status =
            (*client)->Forward("relu", {View(x)}, MutableBytes(y));
        bool right = status.ok();
        for (size_t j = 0; right && j < x.size(); ++j) {
          right = y[j] == std::max(x[j], 0.0f);
        }
        ++(right ? num_right : num_wrong);
        if (!right) ADD_FAILURE() << status;
      }
    });
  }
  const absl::Time give_up = absl::Now() + absl::Minutes(1);
  while (NumConnections(**server) < kNumConnections && absl::Now() < give_up) {
    absl::SleepFor(absl::Milliseconds(50));
  }
  stopped = true;
  for (std::thread& caller : callers) caller.join();

  EXPECT_GE(NumConnections(**server), kNumConnections);
  EXPECT_EQ(num_wrong, 0);
  EXPECT_GT(num_right, 0);
  RecordProperty("calls", absl::StrCat(num_right.load()));
}

}  // namespace
}  // namespace actserve
