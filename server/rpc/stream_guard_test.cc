#include "server/rpc/stream_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace actserve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// The ports of those that must go, of connections with so many streams; the
// ports are the numbers of streams.
std::vector<int> Closed(const std::vector<int>& num_streams,
                        const StreamGuard::Options& options) {
  std::vector<StreamGuard::Connection> connections;
  for (const int number : num_streams) {
    connections.push_back({"1234", number, number});
  }
  std::vector<int> ports;
  for (const auto& each : StreamGuard::ToClose(connections, options)) {
    ports.push_back(each.port);
  }
  return ports;
}

TEST(StreamGuard, ClosesWhatHasMoreThanOneMay) {
  const StreamGuard::Options options = {
      .max_streams = 10, .max_bytes = 1000 * StreamGuard::kStreamBytes};

  EXPECT_THAT(Closed({}, options), IsEmpty());
  EXPECT_THAT(Closed({1, 10, 0}, options), IsEmpty());
  EXPECT_THAT(Closed({1, 12, 10, 11}, options), ElementsAre(12, 11));
}

TEST(StreamGuard, ClosesThoseWithTheMostIfAllAreTooMany) {
  const StreamGuard::Options options = {
      .max_streams = 10, .max_bytes = 20 * StreamGuard::kStreamBytes};

  EXPECT_THAT(Closed({8, 9, 3}, options), IsEmpty());
  EXPECT_THAT(Closed({7, 8, 9, 1}, options), ElementsAre(9));
  EXPECT_THAT(Closed({7, 8, 9, 6, 5, 2, 2}, options), ElementsAre(9, 8, 7));
}

}  // namespace
}  // namespace actserve
