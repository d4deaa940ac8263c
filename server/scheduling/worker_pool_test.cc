#include "server/scheduling/worker_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "server/metrics/refusals.h"
#include "server/scheduling/retry_after.h"

namespace actserve {
namespace {

using ::testing::ElementsAre;

constexpr CallerId kA = {.peer = 1, .connection = 11};
constexpr CallerId kB = {.peer = 2, .connection = 21};

// A pool of one thread that is busy until Go().
class WorkerPoolTest : public ::testing::Test {
 protected:
  void Start(int max_queued) {
    pool_ = std::make_unique<WorkerPool>(
        WorkerPool::Options{.max_queued = max_queued,
                            .name = "compile queue",
                            .flag = "--max_queued_compilations",
                            .retry_after = absl::Seconds(1)});
    absl::Notification started;
    pool_->Submit({.peer = 9}, [&](const absl::Status&) {
      started.Notify();
      go_.WaitForNotification();
    });
    started.WaitForNotification();
  }
  void Go() { go_.Notify(); }
  void Submit(const CallerId& caller, const std::string& name) {
    pool_->Submit(caller, [this, name](const absl::Status& turn) {
      absl::MutexLock lock(&mu_);
      (turn.ok() ? run_ : refused_).push_back(name);
      if (!turn.ok()) why_ = turn;
    });
  }
  void AwaitRun(size_t count) {
    const auto enough = [&]() { return run_.size() >= count; };
    absl::MutexLock lock(&mu_, absl::Condition(&enough));
  }

  absl::Notification go_;
  absl::Mutex mu_;
  std::vector<std::string> run_;
  std::vector<std::string> refused_;
  absl::Status why_;
  std::unique_ptr<WorkerPool> pool_;
};

TEST_F(WorkerPoolTest, CallersTakeTurns) {
  Start(10);
  for (const char* name : {"a1", "a2", "a3"}) Submit(kA, name);
  Submit(kB, "b1");

  Go();
  AwaitRun(4);

  EXPECT_THAT(run_, ElementsAre("a1", "b1", "a2", "a3"));
}

TEST_F(WorkerPoolTest, WhoFillsItIsRefusedAndOthersAreNot) {
  const int64_t refused = NumRefused(Refusal::kControlQueue);
  Start(2);
  for (const char* name : {"a1", "a2", "a3"}) Submit(kA, name);
  EXPECT_THAT(refused_, ElementsAre("a3"));
  EXPECT_EQ(why_.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(why_.message(),
            "compile queue full: 2 waiting, most of them of this caller, limit "
            "2 (--max_queued_compilations)");
  EXPECT_EQ(RetryAfter(why_), absl::Seconds(1));

  Submit(kB, "b1");
  Go();
  AwaitRun(2);

  EXPECT_THAT(refused_, ElementsAre("a3", "a2"));
  EXPECT_EQ(NumRefused(Refusal::kControlQueue) - refused, 2);
  EXPECT_THAT(run_, ElementsAre("a1", "b1"));
}

TEST_F(WorkerPoolTest, DiscardTellsWhatWaitsAndWhatComes) {
  Start(10);
  Submit(kA, "a1");
  Submit(kB, "b1");
  const absl::Status why = absl::UnavailableError("going");

  pool_->Discard(why);

  EXPECT_THAT(refused_, ElementsAre("a1", "b1"));
  EXPECT_EQ(why_, why);
  Submit(kA, "a2");
  EXPECT_THAT(refused_, ElementsAre("a1", "b1", "a2"));
  EXPECT_THAT(run_, ElementsAre());
  Go();
}

TEST_F(WorkerPoolTest, DoesNotRunItsQueueBeforeItGoes) {
  Start(1000);
  for (int i = 0; i < 1000; ++i) Submit(kA, "a");

  std::thread end([this] { pool_.reset(); });
  const auto all_told = [this]() { return refused_.size() == 1000; };
  {
    absl::MutexLock lock(&mu_, absl::Condition(&all_told));
    EXPECT_EQ(why_.code(), absl::StatusCode::kUnavailable);
  }
  Go();
  end.join();

  EXPECT_THAT(run_, ElementsAre());
}

TEST(WorkerPool, RunsOnAllItsThreads) {
  std::atomic<int> num_run = 0;
  absl::Notification all;
  WorkerPool pool({.num_threads = 3, .max_queued = 1000});
  for (int i = 0; i < 1000; ++i) {
    pool.Submit(kA, [&](const absl::Status& turn) {
      EXPECT_TRUE(turn.ok());
      if (++num_run == 1000) all.Notify();
    });
  }
  all.WaitForNotification();
}

TEST(RetryAfter, IsPartOfTheStatus) {
  const absl::Status full = absl::ResourceExhaustedError("full");

  EXPECT_EQ(RetryAfter(full), std::nullopt);
  EXPECT_EQ(RetryAfter(WithRetryAfter(full, absl::Microseconds(1500))),
            absl::Milliseconds(2));
}

}  // namespace
}  // namespace actserve
