#include "kernels/device/cpu/machine/thread_pool.h"

#include <atomic>
#include <vector>

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
