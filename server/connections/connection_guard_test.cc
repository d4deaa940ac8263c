#include "server/connections/connection_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace actserve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// The ports of those that must go, of connections with so many streams; the
// ports are the numbers of streams.
std::vector<int> Closed(const std::vector<int>& num_streams,
                        const ConnectionGuard::Options& options) {
  std::vector<OpenConnection> connections;
  for (const int number : num_streams) {
    // Of so many more that ended.
    OpenConnection& connection = connections.emplace_back();
    connection.peer.port = number;
    connection.streams_started = number + 7;
    connection.streams_succeeded = 4;
    connection.streams_failed = 3;
  }
  std::vector<int> ports;
  for (const OpenConnection& each :
       ConnectionGuard::WithTooManyStreams(connections, options)) {
    ports.push_back(each.peer.port);
  }
  return ports;
}

TEST(ConnectionGuard, ClosesWhatHasMoreThanOneMay) {
  const ConnectionGuard::Options options = {
      .max_streams = 10, .max_bytes = 1000 * ConnectionGuard::kStreamBytes};

  EXPECT_THAT(Closed({}, options), IsEmpty());
  EXPECT_THAT(Closed({1, 10, 0}, options), IsEmpty());
  EXPECT_THAT(Closed({1, 12, 10, 11}, options), ElementsAre(12, 11));
}

TEST(ConnectionGuard, ClosesThePeerWithTheMostFirst) {
  std::vector<OpenConnection> connections(5);
  for (int i = 0; i < 5; ++i) {
    connections[i].peer.port = i;
    connections[i].peer.address = i == 0 ? "other" : "many";
    connections[i].streams_started = i == 0 ? 9 : 5;
  }

  const auto closed = ConnectionGuard::WithTooManyStreams(
      connections,
      {.max_streams = 10, .max_bytes = 20 * ConnectionGuard::kStreamBytes});

  ASSERT_EQ(closed.size(), 2);
  EXPECT_EQ(closed[0].peer.address, "many");
  EXPECT_EQ(closed[1].peer.address, "many");
}

TEST(ConnectionGuard, ClosesThoseWithTheMostIfAllAreTooMany) {
  const ConnectionGuard::Options options = {
      .max_streams = 10, .max_bytes = 20 * ConnectionGuard::kStreamBytes};

  EXPECT_THAT(Closed({8, 9, 3}, options), IsEmpty());
  EXPECT_THAT(Closed({7, 8, 9, 1}, options), ElementsAre(9));
  EXPECT_THAT(Closed({7, 8, 9, 6, 5, 2, 2}, options), ElementsAre(9, 8, 7));
}

}  // namespace
}  // namespace actserve
