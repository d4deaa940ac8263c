#include "server/connections/open_streams.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/connections/stalled_bodies.h"

namespace actserve {
namespace {

class OpenStreamsTest : public ::testing::Test {
 protected:
  // 10 s after the last look.
  int Look() {
    now_ += absl::Seconds(10);
    return streams_.EndStalled(now_);
  }
  std::unique_ptr<OpenStreams::Stream> Open(const Peer& peer = {}) {
    return streams_.Open(peer, [this] { ++num_ended_; });
  }

  OpenStreams streams_{absl::Seconds(20)};
  absl::Time now_ = absl::UnixEpoch();
  int num_ended_ = 0;
};

TEST_F(OpenStreamsTest, EndsACallWhoseClientStopped) {
  const auto stream = Open();

  EXPECT_EQ(Look(), 0);
  EXPECT_EQ(Look(), 0);
  EXPECT_EQ(Look(), 1);
  EXPECT_EQ(num_ended_, 1);
}

TEST_F(OpenStreamsTest, LeavesACallAloneThatMoves) {
  const auto reads = Open();
  const auto writes = Open();
  for (int i = 0; i < 10; ++i) {
    reads->CountMessage(StalledBodies::kMinBytes);
    writes->CountSent(StalledBodies::kMinBytes);

    EXPECT_EQ(Look(), 0);
  }
}

TEST_F(OpenStreamsTest, EndsACallOfAByteNowAndThen) {
  const auto stream = Open();
  int num_looks = 1;
  while (Look() == 0) {
    stream->CountMessage(1);
    ASSERT_LT(++num_looks, 10);
  }

  EXPECT_EQ(num_looks, 3);
}

TEST_F(OpenStreamsTest, LeavesACallAloneThatDoesNotWaitForItsClient) {
  const auto stream = Open();
  stream->set_waits_for_client(false);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Look(), 0);
  stream->set_waits_for_client(true);

  EXPECT_EQ(Look(), 0);
  EXPECT_EQ(Look(), 1);
}

TEST_F(OpenStreamsTest, ForgetsACallThatIsOver) {
  Open();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Look(), 0);
}

TEST_F(OpenStreamsTest, CountsOneMessageOfEachCall) {
  const Peer peer = PeerOfUri("ipv4:127.0.0.1:4711");
  for (int calls = 0; calls < 2; ++calls) {
    const auto stream = Open(peer);
    for (int i = 0; i < 5; ++i) stream->CountMessage(1);
  }
  std::vector<OpenConnection> connections(2);
  connections[0].peer = peer;
  connections[0].messages_received = 10;
  connections[1].peer = PeerOfUri("ipv4:127.0.0.1:4712");
  connections[1].messages_received = 10;

  streams_.Discount(connections);

  EXPECT_EQ(connections[0].messages_received, 2);
  EXPECT_EQ(connections[1].messages_received, 10);

  // The port may belong to another connection later.
  std::vector<OpenConnection> others = {connections[1]};
  streams_.Discount(others);
  connections[0].messages_received = 10;
  streams_.Discount(connections);
  EXPECT_EQ(connections[0].messages_received, 10);
}

TEST(PeerOfUri, ReadsAddresses) {
  EXPECT_EQ(PeerOfUri("ipv4:127.0.0.1:4711"),
            (Peer{std::string("\x7f\0\0\x01", 4), 4711}));
  const std::string loopback = std::string(15, '\0') + '\1';
  EXPECT_EQ(PeerOfUri("ipv6:%5B::1%5D:80"), (Peer{loopback, 80}));
  EXPECT_EQ(PeerOfUri("ipv6:[::1]:80"), (Peer{loopback, 80}));
  for (const char* other : {"", "unix:", "unix:/run/x", "ipv4:1.2.3:80",
                            "ipv4:1.2.3.4", "ipv6:[::1]:port"}) {
    EXPECT_EQ(PeerOfUri(other), Peer()) << other;
  }
}

}  // namespace
}  // namespace actserve
