#include "server/scheduling/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "absl/synchronization/notification.h"

namespace actserve {
namespace {

TEST(WorkerPool, RunsEveryTaskBeforeItGoes) {
  std::atomic<int> num_run = 0;
  {
    WorkerPool pool(3, 1000);
    for (int i = 0; i < 1000; ++i) {
      ASSERT_TRUE(pool.Submit([&num_run] { ++num_run; }).ok());
    }
  }
  EXPECT_EQ(num_run, 1000);
}

TEST(WorkerPool, RefusesWhatItHasNoRoomFor) {
  absl::Notification started, go;
  WorkerPool pool(1, 2);
  const auto occupy = [&] {
    started.Notify();
    go.WaitForNotification();
  };
  ASSERT_TRUE(pool.Submit(occupy).ok());
  started.WaitForNotification();

  EXPECT_TRUE(pool.Submit([] {}).ok());
  EXPECT_TRUE(pool.Submit([] {}).ok());
  EXPECT_EQ(pool.Submit([] {}), absl::ResourceExhaustedError(
                                    "compile queue full: 2 waiting, limit 2 "
                                    "(--max_queued_compilations)"));

  go.Notify();
}

TEST(WorkerPool, RunsThemInOrder) {
  std::string order;
  {
    WorkerPool pool(1, 10);
    for (char c = 'a'; c < 'f'; ++c) {
      EXPECT_TRUE(pool.Submit([&order, c] { order += c; }).ok());
    }
  }
  EXPECT_EQ(order, "abcde");
}

}  // namespace
}  // namespace actserve
