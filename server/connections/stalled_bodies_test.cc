#include "server/connections/stalled_bodies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "absl/time/time.h"

namespace actserve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class StalledBodiesTest : public ::testing::Test {
 protected:
  // The ids of those that stalled, 10 s after the last look.
  std::vector<int64_t> Look() {
    now_ += absl::Seconds(10);
    std::vector<int64_t> ids;
    for (const OpenConnection& each : bodies_.Find(
             connections_, [this](const OpenConnection&) { return bytes_; },
             now_)) {
      ids.push_back(each.id);
    }
    return ids;
  }

  // Of one connection.
  OpenConnection& connection() { return connections_[0]; }
  void StartStreams(int count) { connection().streams_started += count; }
  void Arrive(int count) { connection().messages_received += count; }
  void Answer(int count) { connection().streams_succeeded += count; }
  // Calls that come and go.
  void ServeCalls(int count) {
    StartStreams(count);
    Arrive(count);
    Answer(count);
  }
  void GiveUp(int count) { connection().streams_failed += count; }

  StalledBodies bodies_{absl::Seconds(30)};
  std::vector<OpenConnection> connections_ = {OpenConnection()};
  std::optional<int64_t> bytes_ = 0;
  absl::Time now_ = absl::UnixEpoch();
};

TEST_F(StalledBodiesTest, ABodyThatDoesNotArrive) {
  StartStreams(1);

  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_THAT(Look(), ElementsAre(0));
}

TEST_F(StalledBodiesTest, OnlyItsOwnConnection) {
  connections_.resize(3);
  for (int i = 0; i < 3; ++i) connections_[i].id = 7 + i;
  connections_[1].streams_started = 1;
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Look(), IsEmpty());

  EXPECT_THAT(Look(), ElementsAre(8));
}

TEST_F(StalledBodiesTest, AnswersMayTakeTheirTime) {
  StartStreams(3);
  Arrive(3);

  for (int i = 0; i < 10; ++i) EXPECT_THAT(Look(), IsEmpty());
}

TEST_F(StalledBodiesTest, ASlowBodyBringsBytes) {
  StartStreams(1);

  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(Look(), IsEmpty());
    *bytes_ += StalledBodies::kMinBytes / 2;
  }
  for (int i = 0; i < 3; ++i) Look();
  // A byte a second does not help.
  *bytes_ += 10;
  EXPECT_THAT(Look(), ElementsAre(0));
}

TEST_F(StalledBodiesTest, ABusyLocalConnectionHasNewOnes) {
  bytes_ = std::nullopt;
  StartStreams(4);

  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(Look(), IsEmpty());
    ServeCalls(2);
  }
}

TEST_F(StalledBodiesTest, CallsDoNotHideOneThatStalled) {
  StartStreams(3);

  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Look(), IsEmpty());
    ServeCalls(20);
  }
  EXPECT_THAT(Look(), ElementsAre(0));
}

TEST_F(StalledBodiesTest, SomeLocalCallsDoNotHideManyThatStalled) {
  bytes_ = std::nullopt;
  StartStreams(100);

  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Look(), IsEmpty());
    ServeCalls(20);
  }
  EXPECT_THAT(Look(), ElementsAre(0));
}

TEST_F(StalledBodiesTest, WhatWasGivenUpIsForgottenOnceNothingRuns) {
  StartStreams(5);
  Look();
  GiveUp(5);
  Look();
  // Answered after a while.
  StartStreams(1);
  Arrive(1);

  for (int i = 0; i < 10; ++i) EXPECT_THAT(Look(), IsEmpty());
}

TEST_F(StalledBodiesTest, StallsAgainAfterItWentOn) {
  StartStreams(1);
  for (int i = 0; i < 3; ++i) Look();
  Arrive(1);
  Answer(1);
  EXPECT_THAT(Look(), IsEmpty());
  StartStreams(1);

  for (int i = 0; i < 3; ++i) EXPECT_THAT(Look(), IsEmpty());
  EXPECT_THAT(Look(), ElementsAre(0));
}

}  // namespace
}  // namespace actserve
