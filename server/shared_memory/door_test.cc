// The door in this process, over a device that interprets; the threads of its
// sessions beside those of its clients.

#include "server/shared_memory/door.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "actserve/v1/service.pb.h"
#include "server/shared_memory/region.h"
#include "server/testing/engine_parts.h"
#include "server/testing/interpreter_device.h"
#include "server/testing/ring_peer.h"

namespace actserve {
namespace {

using testing::MakeRegion;
using testing::RingPeer;

class DoorTest : public ::testing::Test {
 protected:
  DoorTest() : folder_(::testing::TempDir() + "door_XXXXXX") {
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    address_ = absl::StrCat("unix:", folder_, "/s");
    auto door =
        SharedMemoryDoor::Start({.path = absl::StrCat(folder_, "/s.shm"),
                                 .users = {},
                                 .max_bytes = 100 << 20},
                                {engine_.parts, &metrics_, observer_, nullptr});
    EXPECT_TRUE(door.ok()) << door.status();
    door_ = *std::move(door);
  }
  ~DoorTest() override { rmdir(folder_.c_str()); }

  // Calls relu in the slot again and again; the number of right answers.
  int CallRelu(RingPeer& peer, uint32_t index, int count) {
    int num_right = 0;
    for (int i = 0; i < count; ++i) {
      const float x[] = {-1, static_cast<float>(i)};
      const auto request = peer.ReluRequest(index, {.size_bytes = sizeof(x)});
      std::memcpy(
          peer.ring().slots[index].bytes.data() + request.pieces[0].size_bytes,
          x, sizeof(x));
      if (!peer.Call(index, request)) return num_right;
      v1::ForwardResponse response;
      float y[2] = {-1, -1};
      if (response.ParseFromString(peer.MessageOf(index)) &&
          response.payload_size() == 1 &&
          response.payload(0).size() == sizeof(y)) {
        std::memcpy(y, response.payload(0).data(), sizeof(y));
      }
      num_right += y[0] == 0 && y[1] == x[1];
    }
    return num_right;
  }

  std::string folder_;
  std::string address_;
  testing::InterpreterDevice device_;
  testing::EngineParts engine_{&device_, /*max_memory_bytes=*/64 << 20};
  CallMetrics metrics_;
  CallObserver observer_{{}, nullptr};
  std::unique_ptr<SharedMemoryDoor> door_;
};

TEST_F(DoorTest, ServesClientsAtOnce) {
  constexpr int kNumClients = 4, kNumCalls = 200;
  std::atomic<int> num_right = 0;
  std::vector<std::thread> clients;
  for (int c = 0; c < kNumClients; ++c) {
    clients.emplace_back([&, c] {
      RingPeer peer(address_);
      if (peer.Greet()) num_right += CallRelu(peer, 7 * c, kNumCalls);
    });
  }
  for (std::thread& client : clients) client.join();

  EXPECT_EQ(num_right, kNumClients * kNumCalls);
  EXPECT_EQ(metrics_.num_calls(Method::kForward, 0), kNumClients * kNumCalls);
  EXPECT_TRUE(door_->AwaitCalls(absl::Seconds(10)));
}

TEST_F(DoorTest, CountsClientsAndBytes) {
  {
    RingPeer peer(address_);
    ASSERT_TRUE(peer.Greet());
    ASSERT_EQ(peer.Offer(MakeRegion(5 << 20, F_SEAL_SHRINK).get()), 1);
    EXPECT_EQ(door_->num_clients(), 1);
    EXPECT_EQ(door_->region_bytes(), 5 << 20);
    v1::ControlRequest forget;
    forget.mutable_forget_region()->set_region(1);
    ASSERT_TRUE(peer.Ask(forget));
    EXPECT_EQ(door_->region_bytes(), 0);
  }
  for (int i = 0; i < 10'000 && door_->num_clients() > 0; ++i) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(door_->num_clients(), 0);
}

TEST_F(DoorTest, RefusesWhileItDrains) {
  RingPeer peer(address_);
  ASSERT_TRUE(peer.Greet());
  ASSERT_EQ(CallRelu(peer, 0, 1), 1);

  door_->Refuse();

  EXPECT_EQ(CallRelu(peer, 1, 1), 0);
  EXPECT_EQ(peer.ErrorOf(1).code(), 14);
  door_->Shutdown();
  EXPECT_FALSE(peer.IsConnected());
}

// The server wrote past an output that was smaller than the answer, over what
// the client had behind it in its region.
TEST_F(DoorTest, FetchesNothingIntoLessRoom) {
  constexpr size_t kBytes = size_t{20} << 10;
  RingPeer peer(address_);
  ASSERT_TRUE(peer.Greet());
  ASSERT_EQ(peer.Offer(MakeRegion(1 << 20, F_SEAL_SHRINK).get()), 1);
  ASSERT_TRUE(
      peer.Call(0, peer.ReluRequest(0, {.region = 1, .size_bytes = kBytes})));
  const shared_memory::Reply& reply = peer.ring().slots[0].reply;
  ASSERT_EQ(reply.answer, shared_memory::Answer::kNeedsRoom);
  shared_memory::Request fetch;
  fetch.operation = shared_memory::Operation::kFetch;
  fetch.num_outputs = 1;
  fetch.outputs[0] = {.region = 1,
                      .offset = kBytes,
                      .size_bytes = reply.pieces[0].size_bytes - 1};

  ASSERT_TRUE(peer.Call(0, fetch));

  EXPECT_EQ(peer.ErrorOf(0).code(), 3);
}

// A region that calls use goes after them.
TEST_F(DoorTest, EndsSessionsWhoseCallsRun) {
  absl::Notification started, may_finish;
  device_.started = &started;
  device_.may_finish = &may_finish;
  RingPeer peer(address_);
  ASSERT_TRUE(peer.Greet());
  const auto region = MakeRegion(1 << 20, F_SEAL_SHRINK);
  ASSERT_EQ(peer.Offer(region.get()), 1);
  peer.ring().slots[3].request =
      peer.ReluRequest(3, {.region = 1, .size_bytes = 1 << 20});
  peer.ring().slots[3].state = 1;
  peer.Publish(3);
  started.WaitForNotification();
  v1::ControlRequest forget;
  forget.mutable_forget_region()->set_region(1);
  ASSERT_TRUE(peer.Ask(forget));
  EXPECT_EQ(door_->region_bytes(), 1 << 20);
  may_finish.Notify();

  EXPECT_TRUE(door_->AwaitCalls(absl::Seconds(10)));
  EXPECT_EQ(door_->region_bytes(), 0);
  EXPECT_EQ(engine_.memory.used_bytes(MemoryBudget::Half::kRequests), 0);
}

// A client that is told before makes its call again, and what the first one
// writes then is wrong.
TEST_F(DoorTest, ClosesConnectionsAfterTheirCalls) {
  absl::Notification started, may_finish;
  device_.started = &started;
  device_.may_finish = &may_finish;
  RingPeer peer(address_);
  ASSERT_TRUE(peer.Greet());
  peer.ring().slots[0].request = peer.ReluRequest(0, {.size_bytes = 4});
  peer.ring().slots[0].state = 1;
  peer.Publish(0);
  started.WaitForNotification();

  std::thread shutdown([&] { door_->Shutdown(); });
  absl::SleepFor(absl::Milliseconds(200));
  EXPECT_TRUE(peer.IsConnected());
  may_finish.Notify();
  shutdown.join();

  EXPECT_FALSE(peer.IsConnected());
}

// The thread of the door asked for the connection again and again, at the cost
// of a processor.
TEST_F(DoorTest, WaitsWhileDescriptorsAreUsedUp) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP()
      << "UBSan opens a pipe to look at memory, and there is none left";
#endif
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int lowest_free = dup(STDIN_FILENO);
  // That is the client's, and there is none left to accept it with.
  close(lowest_free);
  const rlimit none = {static_cast<rlim_t>(lowest_free) + 1, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  RingPeer peer(address_);
  const clock_t start = clock();
  absl::SleepFor(absl::Milliseconds(500));
  const clock_t used = clock() - start;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);

  EXPECT_LT(used, CLOCKS_PER_SEC / 10);
  EXPECT_TRUE(peer.Greet());
}

TEST(RegionBudgetTest, OneClientLeavesAFifth) {
  RegionBudget budget(1000);
  EXPECT_FALSE(budget.Take(801, 0));
  EXPECT_TRUE(budget.Take(800, 0));
  EXPECT_FALSE(budget.Take(1, 800));
  EXPECT_TRUE(budget.Take(160, 0));
  EXPECT_FALSE(budget.Take(INT64_MAX, 0));
  budget.GiveBack(800);
  EXPECT_EQ(budget.used_bytes(), 160);
}

}  // namespace
}  // namespace actserve
