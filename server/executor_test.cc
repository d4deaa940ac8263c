#include "server/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"

namespace actserve {
namespace {

class FakeProgram final : public Program {
 public:
  FakeProgram() : Program(LoweredProgram()) {}
};

// Runs what the test says.
class FakeDevice final : public Device {
 public:
  std::string name() const override { return "fake"; }
  std::string description() const override { return "for tests"; }
  absl::StatusOr<std::shared_ptr<const Program>> Compile(
      const LoweredProgram&) override {
    return absl::UnimplementedError("");
  }
  std::shared_ptr<const Program> Find(const std::string&) override {
    return nullptr;
  }
  absl::Status Run(const Program&, absl::Span<WorkItem> items) override {
    ++num_runs;
    return run ? run(items[0]) : absl::OkStatus();
  }

  std::atomic<int> num_runs = 0;
  std::function<absl::Status(WorkItem&)> run;
};

class TestJob final : public Executor::Job {
 public:
  explicit TestJob(int64_t bytes) {
    program = std::make_shared<FakeProgram>();
    size_bytes = bytes;
  }
  void Done(const Executor::Outcome& result) override {
    outcome = result;
    thread = std::this_thread::get_id();
    done.Notify();
  }
  bool IsCancelled() const override { return cancelled; }
  absl::StatusCode Wait() {
    done.WaitForNotification();
    return outcome.status.code();
  }

  std::atomic<bool> cancelled = false;
  Executor::Outcome outcome;
  std::thread::id thread;
  absl::Notification done;
};

class ExecutorTest : public testing::Test {
 protected:
  static Executor::Options OptionsOf() {
    Executor::Options options;
    options.num_threads = 1;
    options.max_queued = 2;
    options.max_queued_bytes = 10'000;
    options.inline_bytes = 100;
    return options;
  }
  // Keeps the one thread busy until Resume().
  void Occupy() {
    device_.run = [this](WorkItem&) {
      busy_.Notify();
      resume_.WaitForNotification();
      return absl::OkStatus();
    };
    executor_.Submit(&blocker_, false);
    busy_.WaitForNotification();
    device_.run = nullptr;
  }
  void Resume() {
    resume_.Notify();
    blocker_.Wait();
  }

  FakeClock clock_;
  FakeDevice device_;
  absl::Notification busy_, resume_;
  TestJob blocker_{1000};
  Executor executor_{OptionsOf(), &device_, &clock_};
};

TEST_F(ExecutorTest, RunsSmallJobsWhereTheyAre) {
  TestJob job(100);
  executor_.Submit(&job, /*may_run_inline=*/true);
  EXPECT_TRUE(job.done.HasBeenNotified());
  EXPECT_EQ(job.thread, std::this_thread::get_id());
  EXPECT_TRUE(job.outcome.status.ok());
}

TEST_F(ExecutorTest, RunsLargeJobsElsewhere) {
  TestJob large(101), unwelcome(1);
  executor_.Submit(&large, /*may_run_inline=*/true);
  EXPECT_EQ(large.Wait(), absl::StatusCode::kOk);
  EXPECT_NE(large.thread, std::this_thread::get_id());

  executor_.Submit(&unwelcome, /*may_run_inline=*/false);
  EXPECT_EQ(unwelcome.Wait(), absl::StatusCode::kOk);
  EXPECT_NE(unwelcome.thread, std::this_thread::get_id());
}

TEST_F(ExecutorTest, NeverRunsWhatIsLateOrCancelled) {
  Occupy();
  TestJob late(1000), cancelled(1000);
  late.deadline = clock_.Now() + absl::Seconds(1);
  executor_.Submit(&late, true);
  executor_.Submit(&cancelled, true);

  clock_.Advance(absl::Seconds(1));
  cancelled.cancelled = true;
  Resume();

  EXPECT_EQ(late.Wait(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(cancelled.Wait(), absl::StatusCode::kCancelled);
  EXPECT_EQ(device_.num_runs, 1);
}

TEST_F(ExecutorTest, ASmallJobThatIsLateDoesNotRunEither) {
  TestJob job(1);
  job.deadline = clock_.Now();
  executor_.Submit(&job, true);
  EXPECT_EQ(job.Wait(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(device_.num_runs, 0);
}

TEST_F(ExecutorTest, RefusesMoreJobsThanItsLimit) {
  Occupy();
  TestJob first(1000), second(1000), third(1000);
  executor_.Submit(&first, true);
  executor_.Submit(&second, true);
  executor_.Submit(&third, true);

  EXPECT_EQ(third.Wait(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(third.outcome.status.message(), "2 jobs wait, the limit");

  Resume();
  EXPECT_EQ(second.Wait(), absl::StatusCode::kOk);
}

TEST_F(ExecutorTest, RefusesMoreBytesThanItsLimit) {
  Occupy();
  TestJob first(6000), second(6000);
  executor_.Submit(&first, true);
  executor_.Submit(&second, true);

  EXPECT_EQ(second.Wait(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(second.outcome.status.message(),
            "the work that waits would exceed 10000 bytes, the limit");

  Resume();
  first.Wait();
  TestJob after(6000);
  executor_.Submit(&after, true);
  EXPECT_EQ(after.Wait(), absl::StatusCode::kOk);
}

TEST_F(ExecutorTest, TellsHowLongAJobWaitedAndRan) {
  Occupy();
  TestJob job(1000);
  executor_.Submit(&job, true);
  clock_.Advance(absl::Seconds(3));
  device_.run = [this](WorkItem&) {
    clock_.Advance(absl::Seconds(5));
    return absl::OkStatus();
  };
  Resume();

  job.Wait();

  EXPECT_EQ(job.outcome.queue, absl::Seconds(3));
  EXPECT_EQ(job.outcome.compute, absl::Seconds(5));
}

TEST_F(ExecutorTest, PassesOnWhatTheDeviceSays) {
  device_.run = [](WorkItem&) { return absl::InternalError("broken"); };
  TestJob job(1);
  executor_.Submit(&job, true);
  EXPECT_EQ(job.outcome.status, absl::InternalError("broken"));
}

}  // namespace
}  // namespace actserve
