#include "server/evaluation/call_counter.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "absl/time/clock.h"

namespace actserve {
namespace {

TEST(CallCounter, ClosesForNewCallsOnly) {
  CallCounter calls;
  EXPECT_TRUE(calls.Enter());

  calls.Close();

  EXPECT_FALSE(calls.Enter());
  EXPECT_FALSE(calls.AwaitNone(absl::InfinitePast()));
  calls.Leave();
  EXPECT_TRUE(calls.AwaitNone(absl::InfinitePast()));
}

TEST(CallCounter, WaitsForTheLastOfManyThreads) {
  CallCounter calls;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&calls] {
      while (calls.Enter()) calls.Leave();
    });
  }

  calls.Close();

  EXPECT_TRUE(calls.AwaitNone(absl::InfiniteFuture()));
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace actserve
