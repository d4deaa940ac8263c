#include "server/connections/frames_without_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace actserve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kMuch = FramesWithoutCalls::kMaxBytes + 1;

class FramesWithoutCallsTest : public ::testing::Test {
 protected:
  // One connection that has begun and ended so many calls, and what its peer
  // has sent; returns the ids of those that are found.
  std::vector<int64_t> Find(int64_t started, int64_t ended, int64_t bytes) {
    OpenConnection connection;
    connection.id = 7;
    connection.peer = {"host", 1};
    connection.streams_started = started;
    connection.streams_succeeded = ended;
    std::vector<int64_t> ids;
    for (const OpenConnection& each :
         frames_.Find({connection}, {{connection.peer, bytes}})) {
      ids.push_back(each.id);
    }
    return ids;
  }
  FramesWithoutCalls frames_;
};

TEST_F(FramesWithoutCallsTest, FindsWhoSendsMuchForNoCall) {
  EXPECT_THAT(Find(0, 0, kMuch), ElementsAre(7));
  EXPECT_THAT(Find(0, 0, kMuch + 1), IsEmpty());
  EXPECT_THAT(Find(0, 0, 2 * kMuch + 1), ElementsAre(7));
}

TEST_F(FramesWithoutCallsTest, LeavesAloneWhoSendsLittle) {
  EXPECT_THAT(Find(0, 0, kMuch - 1), IsEmpty());
  EXPECT_THAT(Find(0, 0, 2 * (kMuch - 1)), IsEmpty());
}

TEST_F(FramesWithoutCallsTest, LeavesCallsAlone) {
  EXPECT_THAT(Find(1, 0, 5 * kMuch), IsEmpty());
  EXPECT_THAT(Find(1, 0, 9 * kMuch), IsEmpty());
  // One that began and ended since.
  EXPECT_THAT(Find(2, 2, 20 * kMuch), IsEmpty());
  EXPECT_THAT(Find(2, 2, 21 * kMuch), ElementsAre(7));
}

TEST_F(FramesWithoutCallsTest, LeavesAloneWhoIsNotKnown) {
  OpenConnection connection;
  connection.id = 7;

  EXPECT_THAT(frames_.Find({connection}, {}), IsEmpty());
}

}  // namespace
}  // namespace actserve
