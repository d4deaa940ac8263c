#include "server/tracing/trace_queue.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "absl/time/time.h"

namespace actserve {
namespace {

TracedCall CallOf(int64_t number) {
  TracedCall call;
  call.record.elements = number;
  return call;
}

TEST(TraceQueue, GivesCallsInTheirOrder) {
  TraceQueue queue;
  for (int i = 0; i < 5; ++i) queue.Push(CallOf(i));

  const auto first = queue.Take(3, absl::InfiniteDuration());
  const auto rest = queue.Take(3, absl::ZeroDuration());

  ASSERT_EQ(first.size(), 3u);
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(first[0].record.elements, 0);
  EXPECT_EQ(rest[1].record.elements, 4);
  EXPECT_EQ(queue.TakeNumDropped(), 0);
}

TEST(TraceQueue, DropsAndCountsWhatFindsItFull) {
  TraceQueue queue;
  for (size_t i = 0; i < TraceQueue::kMaxCalls + 7; ++i) {
    queue.Push(CallOf(static_cast<int64_t>(i)));
  }

  EXPECT_EQ(queue.TakeNumDropped(), 7);
  EXPECT_EQ(queue.TakeNumDropped(), 0);
  const auto taken = queue.Take(2 * TraceQueue::kMaxCalls, absl::Seconds(0));
  EXPECT_EQ(taken.size(), TraceQueue::kMaxCalls);
}

TEST(TraceQueue, GivesTheRestOnceClosed) {
  TraceQueue queue;
  queue.Push(CallOf(1));
  queue.Close();
  queue.Push(CallOf(2));

  EXPECT_EQ(queue.Take(10, absl::InfiniteDuration()).size(), 1u);
  EXPECT_TRUE(queue.Take(10, absl::InfiniteDuration()).empty());
  EXPECT_EQ(queue.TakeNumDropped(), 1);
}

TEST(TraceQueue, LosesNothingBetweenThreads) {
  constexpr int kNumThreads = 4;
  constexpr int kNumCalls = 5000;
  TraceQueue queue;
  int64_t num_taken = 0;
  std::thread taker([&] {
    while (true) {
      const auto taken = queue.Take(100, absl::Milliseconds(1));
      if (taken.empty()) break;
      num_taken += static_cast<int64_t>(taken.size());
    }
  });
  std::vector<std::thread> pushers;
  for (int i = 0; i < kNumThreads; ++i) {
    pushers.emplace_back([&] {
      for (int j = 0; j < kNumCalls; ++j) queue.Push(CallOf(j));
    });
  }
  for (std::thread& pusher : pushers) pusher.join();
  queue.Close();
  taker.join();

  EXPECT_EQ(num_taken + queue.TakeNumDropped(), kNumThreads * kNumCalls);
}

}  // namespace
}  // namespace actserve
