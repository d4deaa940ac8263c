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
      ASSERT_TRUE(pool.Submit([&num_run] { ++num_run; }));
    }
  }
  EXPECT_EQ(num_run, 1000);
}

TEST(WorkerPool, RefusesWhatItHasNoRoomFor) {
  absl::Notification started, go;
  WorkerPool pool(1, 2);
  ASSERT_TRUE(pool.Submit([&] {
    started.Notify();
    go.WaitForNotification();
  }));
  started.WaitForNotification();

  EXPECT_TRUE(pool.Submit([] {}));
  EXPECT_TRUE(pool.Submit([] {}));
  EXPECT_FALSE(pool.Submit([] {}));

  go.Notify();
}

TEST(WorkerPool, RunsThemInOrder) {
  std::string order;
  {
    WorkerPool pool(1, 10);
    for (char c = 'a'; c < 'f'; ++c) pool.Submit([&order, c] { order += c; });
  }
  EXPECT_EQ(order, "abcde");
}

}  // namespace
}  // namespace actserve
