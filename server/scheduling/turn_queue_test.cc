#include "server/scheduling/turn_queue.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace actserve {
namespace {

constexpr CallerId kA = {.peer = 1, .connection = 11};
constexpr CallerId kB = {.peer = 2, .connection = 21};
constexpr CallerId kC = {.peer = 3, .connection = 31};
// Another connection of A's peer.
constexpr CallerId kA2 = {.peer = 1, .connection = 12};

std::string PopAll(TurnQueue<std::string>& queue) {
  std::string all;
  while (auto item = queue.Pop()) all += *item + " ";
  return all;
}

void PushAll(TurnQueue<std::string>& queue, const CallerId& caller,
             std::initializer_list<const char*> items) {
  for (const char* item : items) {
    EXPECT_EQ(queue.Push(caller, item), std::nullopt) << item;
  }
}

TEST(TurnQueue, KeepsTheOrderOfOneCaller) {
  TurnQueue<std::string> queue(10);
  PushAll(queue, kA, {"a1", "a2", "a3"});

  EXPECT_EQ(PopAll(queue), "a1 a2 a3 ");
  EXPECT_TRUE(queue.empty());
}

TEST(TurnQueue, PeersTakeTurns) {
  TurnQueue<std::string> queue(10);
  PushAll(queue, kA, {"a1", "a2", "a3", "a4"});
  PushAll(queue, kB, {"b1", "b2"});
  PushAll(queue, kC, {"c1"});

  EXPECT_EQ(PopAll(queue), "a1 b1 c1 a2 b2 a3 a4 ");
}

TEST(TurnQueue, ConnectionsShareTheTurnOfTheirPeer) {
  TurnQueue<std::string> queue(10);
  PushAll(queue, kA, {"a1", "a2", "a3"});
  PushAll(queue, kA2, {"A1", "A2"});
  PushAll(queue, kB, {"b1", "b2"});

  EXPECT_EQ(PopAll(queue), "a1 b1 A1 b2 a2 A2 a3 ");
}

TEST(TurnQueue, WhoComesBackQueuesAgain) {
  TurnQueue<std::string> queue(10);
  PushAll(queue, kA, {"a1", "a2"});
  PushAll(queue, kB, {"b1"});
  EXPECT_EQ(queue.Pop(), "a1");
  EXPECT_EQ(queue.Pop(), "b1");
  PushAll(queue, kB, {"b2"});

  EXPECT_EQ(PopAll(queue), "a2 b2 ");
}

TEST(TurnQueue, ThePeerThatUsedLeastGoesFirst) {
  TurnQueue<std::string> queue(10);
  PushAll(queue, kA, {"a1", "a2"});
  PushAll(queue, kB, {"b1", "b2"});
  PushAll(queue, kC, {"c1", "c2"});
  std::map<uint64_t, int> used = {{kA.peer, 5}, {kB.peer, 1}, {kC.peer, 1}};
  std::string order;

  while (auto item = queue.Pop([&](uint64_t peer) { return used.at(peer); })) {
    order += *item + " ";
    if (*item == "b2") used[kB.peer] = 9;
    if (*item == "c1") used[kC.peer] = 7;
  }

  EXPECT_EQ(order, "b1 c1 b2 a1 a2 c2 ");
}

TEST(TurnQueue, AFullOneRefusesThePeerThatFilledIt) {
  TurnQueue<std::string> queue(3);
  PushAll(queue, kA, {"a1", "a2", "a3"});

  EXPECT_EQ(queue.Push(kA, "a4"), "a4");
  EXPECT_EQ(queue.Push(kB, "b1"), "a3");
  // B would hold as much as A then.
  EXPECT_EQ(queue.Push(kB, "b2"), "b2");
  EXPECT_EQ(queue.Push(kC, "c1"), "a2");

  EXPECT_EQ(queue.size(), 3);
  EXPECT_EQ(PopAll(queue), "a1 b1 c1 ");
}

TEST(TurnQueue, MoreConnectionsAreNotAReasonToGiveWay) {
  TurnQueue<std::string> queue(3);
  PushAll(queue, kA, {"a1"});
  PushAll(queue, kA2, {"A1"});
  PushAll(queue, kB, {"b1"});

  EXPECT_EQ(queue.Push({.peer = 1, .connection = 13}, "x"), "x");
  EXPECT_EQ(queue.Push(kC, "c1"), "a1");
}

TEST(TurnQueue, AConnectionGivesWayToAnotherOfItsPeer) {
  TurnQueue<std::string> queue(3);
  PushAll(queue, kA, {"a1", "a2", "a3"});

  EXPECT_EQ(queue.Push(kA2, "A1"), "a3");
  EXPECT_EQ(queue.Push(kA2, "A2"), "A2");

  EXPECT_EQ(PopAll(queue), "a1 A1 a2 ");
}

}  // namespace
}  // namespace actserve
