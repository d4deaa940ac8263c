#include "kernels/device/cpu/machine/thread_pool.h"

#include <atomic>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace actserve {
namespace {

// Workers that sleep after a loop, and such that wait awake.
class ThreadPoolTest : public ::testing::TestWithParam<absl::Duration> {};
INSTANTIATE_TEST_SUITE_P(Spin, ThreadPoolTest,
                         ::testing::Values(absl::ZeroDuration(),
                                           absl::Microseconds(100)));

TEST_P(ThreadPoolTest, RunsEachTaskOnce) {
  for (int num_threads : {1, 2, 5}) {
    SCOPED_TRACE(num_threads);
    ThreadPool pool(num_threads, GetParam());
    for (int64_t num_tasks : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> calls(num_tasks);

      pool.ParallelFor(num_tasks, [&](int64_t i) { ++calls[i]; });

      for (const std::atomic<int>& count : calls) EXPECT_EQ(count, 1);
    }
  }
}

TEST(ThreadPool, OfOneThreadRunsOnTheCaller) {
  ThreadPool pool(1);

  pool.ParallelFor(10, [caller = std::this_thread::get_id()](int64_t) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
  });
}

TEST(ThreadPool, StaysAwakeForAWhile) {
  ThreadPool pool(2, absl::Seconds(100));
  const auto nothing = [](int64_t) {};

  for (int i = 0; i < 1000; ++i) pool.ParallelFor(2, nothing);

  // A worker that has seen a loop waits awake.
  while (!pool.IsAwake()) pool.ParallelFor(2, nothing);
  EXPECT_TRUE(pool.IsAwake());
}

TEST(ThreadPool, WakesForShortLoopsThatFollowOneAnother) {
  ThreadPool pool(3, absl::Seconds(100));

  // Nobody has a loop for them.
  while (!pool.IsAwake()) absl::SleepFor(absl::Microseconds(10));
}

TEST(ThreadPool, OfThreadsThatSleepIsNeverAwake) {
  ThreadPool pool(2);

  pool.ParallelFor(100, [](int64_t) {});

  EXPECT_FALSE(pool.IsAwake());
  EXPECT_FALSE(ThreadPool(1, absl::Seconds(100)).IsAwake());
}

TEST_P(ThreadPoolTest, ServesSeveralCallersAtOnce) {
  ThreadPool pool(3, GetParam());
  std::atomic<int64_t> total = 0;
  std::vector<std::thread> callers;

  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        pool.ParallelFor(17, [&](int64_t i) { total += i; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();

  EXPECT_EQ(total, 4 * 200 * (17 * 16 / 2));
}

}  // namespace
}  // namespace actserve
