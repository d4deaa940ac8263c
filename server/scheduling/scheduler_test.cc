#include "server/scheduling/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "server/metrics/refusals.h"
#include "server/testing/fake_clock.h"

namespace actserve {
namespace {

using ::testing::ElementsAre;

class FakeProgram final : public Program {
 public:
  FakeProgram() : Program(LoweredProgram()) {}
};

std::shared_ptr<const Program> NewProgram() {
  return std::make_shared<FakeProgram>();
}

// Runs what the test says.
class FakeDevice final : public Device {
 public:
  using Behaviour = std::function<absl::Status(absl::Span<WorkItem>)>;

  std::string name() const override { return "fake"; }
  std::string description() const override { return "for tests"; }
  absl::StatusOr<std::shared_ptr<const Program>> Compile(
      const LoweredProgram&, const StopToken&) override {
    return absl::UnimplementedError("");
  }
  absl::Status Run(const Program&, absl::Span<WorkItem> items) override {
    Behaviour behaviour;
    {
      absl::MutexLock lock(&mu_);
      run_sizes_.push_back(static_cast<int>(items.size()));
      behaviour = behaviour_;
    }
    return behaviour ? behaviour(items) : absl::OkStatus();
  }
  // From the next Run() on.
  void set_run(Behaviour behaviour) {
    absl::MutexLock lock(&mu_);
    behaviour_ = std::move(behaviour);
  }
  // The number of items of each Run() so far.
  std::vector<int> run_sizes() const {
    absl::MutexLock lock(&mu_);
    return run_sizes_;
  }

 private:
  mutable absl::Mutex mu_;
  Behaviour behaviour_ ABSL_GUARDED_BY(mu_);
  std::vector<int> run_sizes_ ABSL_GUARDED_BY(mu_);
};

class TestJob final : public Scheduler::Job {
 public:
  TestJob(std::shared_ptr<const Program> of, int64_t bytes,
          uint64_t from_caller = 0)
      : from_caller_(from_caller) {
    program = std::move(of);
    size_bytes = bytes;
  }
  CallerId caller() const override { return {.peer = from_caller_}; }
  void Done(const Scheduler::Outcome& result) override {
    outcome = result;
    thread = std::this_thread::get_id();
    if (when_done) when_done();
    done.Notify();
  }
  bool IsCancelled() const override { return cancelled; }
  absl::StatusCode Wait() {
    done.WaitForNotification();
    return outcome.status.code();
  }

  std::atomic<bool> cancelled = false;
  std::function<void()> when_done;
  Scheduler::Outcome outcome;
  std::thread::id thread;
  absl::Notification done;

 private:
  const uint64_t from_caller_;
};

class SchedulerTest : public testing::Test {
 protected:
  SchedulerTest() {
    options_.num_threads = 1;
    options_.max_running_batches = 1;
    options_.queue.max_queued = 5;
    options_.queue.max_queued_bytes = 10'000;
    options_.inline_bytes = 100;
  }
  Scheduler& scheduler() {
    if (scheduler_ == nullptr) {
      scheduler_ = std::make_unique<Scheduler>(options_, &device_, &clock_);
    }
    return *scheduler_;
  }
  // The job lives as long as the test.
  TestJob& Submit(std::shared_ptr<const Program> program, int64_t bytes = 1000,
                  uint64_t caller = 0) {
    TestJob& job = jobs_.emplace_back(std::move(program), bytes, caller);
    scheduler().Submit(&job, /*may_run_inline=*/true);
    return job;
  }
  // Keeps the device busy until Resume().
  void Occupy() {
    device_.set_run([this](absl::Span<WorkItem>) {
      busy_.Notify();
      resume_.WaitForNotification();
      return absl::OkStatus();
    });
    scheduler().Submit(&blocker_, /*may_run_inline=*/false);
    busy_.WaitForNotification();
    device_.set_run(nullptr);
  }
  void Resume() {
    resume_.Notify();
    blocker_.Wait();
  }

  FakeClock clock_;
  FakeDevice device_;
  Scheduler::Options options_;
  const std::shared_ptr<const Program> program_ = NewProgram();
  absl::Notification busy_, resume_;
  TestJob blocker_{program_, 1000};
  std::deque<TestJob> jobs_;
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(SchedulerTest, RunsSmallJobsWhereTheyAre) {
  TestJob& job = Submit(program_, 100);

  EXPECT_TRUE(job.done.HasBeenNotified());
  EXPECT_EQ(job.thread, std::this_thread::get_id());
  EXPECT_TRUE(job.outcome.status.ok());
}

TEST_F(SchedulerTest, RunsLargeJobsElsewhere) {
  TestJob& large = Submit(program_, 101);
  EXPECT_EQ(large.Wait(), absl::StatusCode::kOk);
  EXPECT_NE(large.thread, std::this_thread::get_id());

  TestJob unwelcome(program_, 1);
  scheduler().Submit(&unwelcome, /*may_run_inline=*/false);
  EXPECT_EQ(unwelcome.Wait(), absl::StatusCode::kOk);
  EXPECT_NE(unwelcome.thread, std::this_thread::get_id());
}

TEST_F(SchedulerTest, RunsNothingInlineIfTold) {
  options_.inline_bytes = -1;
  TestJob& job = Submit(program_, 0);
  EXPECT_EQ(job.Wait(), absl::StatusCode::kOk);
  EXPECT_NE(job.thread, std::this_thread::get_id());
}

TEST_F(SchedulerTest, BatchesWhatComesWhileTheDeviceIsBusy) {
  Occupy();
  const auto other = NewProgram();
  for (const auto& program : {program_, other, program_, other, program_}) {
    Submit(program);
  }
  Resume();

  for (TestJob& job : jobs_) EXPECT_EQ(job.Wait(), absl::StatusCode::kOk);
  EXPECT_THAT(device_.run_sizes(), ElementsAre(1, 3, 2));
}

TEST_F(SchedulerTest, AnIdleDeviceStartsAtOnce) {
  Submit(program_).Wait();
  Submit(program_).Wait();
  EXPECT_THAT(device_.run_sizes(), ElementsAre(1, 1));
}

TEST_F(SchedulerTest, EachJobGetsItsOwnItemBack) {
  Occupy();
  for (int i = 1; i <= 4; ++i) {
    TestJob& job = jobs_.emplace_back(program_, 1000);
    job.item.num_elements = i;
    scheduler().Submit(&job, true);
  }
  device_.set_run([](absl::Span<WorkItem> items) {
    for (WorkItem& item : items) {
      item.sums = {10.0 * static_cast<double>(item.num_elements)};
      item.stages.copy_in = absl::Seconds(item.num_elements);
    }
    return absl::OkStatus();
  });
  Resume();

  for (TestJob& job : jobs_) {
    job.Wait();
    EXPECT_THAT(job.item.sums, ElementsAre(10.0 * job.item.num_elements));
    EXPECT_EQ(job.item.stages.copy_in, absl::Seconds(job.item.num_elements));
  }
}

TEST_F(SchedulerTest, NeverRunsWhatIsLateOrCancelled) {
  Occupy();
  TestJob late(program_, 1000), cancelled(program_, 1000);
  late.deadline = clock_.Now() + absl::Seconds(1);
  scheduler().Submit(&late, true);
  scheduler().Submit(&cancelled, true);
  TestJob& good = Submit(program_);

  clock_.Advance(absl::Seconds(1));
  cancelled.cancelled = true;
  Resume();

  EXPECT_EQ(late.Wait(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(cancelled.Wait(), absl::StatusCode::kCancelled);
  EXPECT_EQ(good.Wait(), absl::StatusCode::kOk);
  EXPECT_THAT(device_.run_sizes(), ElementsAre(1, 1));
  EXPECT_EQ(scheduler().counters().num_expired, 1);
  EXPECT_EQ(scheduler().counters().num_cancelled, 1);
}

TEST_F(SchedulerTest, ASmallJobThatIsLateDoesNotRunEither) {
  TestJob job(program_, 1);
  job.deadline = clock_.Now();
  scheduler().Submit(&job, true);

  EXPECT_EQ(job.Wait(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(device_.run_sizes(), ElementsAre());
  EXPECT_EQ(scheduler().counters().num_expired, 1);
  EXPECT_EQ(scheduler().counters().num_inline_jobs, 0);
}

TEST_F(SchedulerTest, RefusesMoreThanItsLimits) {
  const int64_t refused = NumRefused(Refusal::kQueue);
  Occupy();
  for (int i = 0; i < 5; ++i) Submit(program_, 1000);
  TestJob& one_more = Submit(program_, 1000);
  TestJob& too_large = Submit(program_, 20'000);

  EXPECT_EQ(one_more.Wait(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(one_more.outcome.status.message(),
            "queue full: 5 requests are waiting, limit 5 (--max_queued)");
  EXPECT_EQ(too_large.Wait(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(too_large.outcome.status.message(),
            "queue full: 5000 bytes are waiting and 20000 arrived, limit 10000 "
            "(--max_queued_bytes)");
  EXPECT_EQ(scheduler().counters().num_refused, 2);
  EXPECT_EQ(NumRefused(Refusal::kQueue) - refused, 2);
  Resume();
}

TEST_F(SchedulerTest, WhoFloodsAFullQueueGivesWay) {
  Occupy();
  for (int i = 0; i < 5; ++i) Submit(program_, 1000, /*caller=*/1);
  TestJob& other = Submit(program_, 1000, /*caller=*/2);

  EXPECT_EQ(jobs_[4].Wait(), absl::StatusCode::kResourceExhausted);
  Resume();
  EXPECT_EQ(other.Wait(), absl::StatusCode::kOk);
}

TEST_F(SchedulerTest, AFailureDoesNotSpread) {
  options_.queue.max_queued = 100;
  Occupy();
  for (int i = 0; i < 40; ++i) {
    TestJob& job = jobs_.emplace_back(program_, 100);
    job.item.num_elements = i;
    scheduler().Submit(&job, false);
  }
  device_.set_run([](absl::Span<WorkItem> items) {
    for (const WorkItem& item : items) {
      if (item.num_elements == 13 || item.num_elements == 14) {
        return absl::InvalidArgumentError("bad luck");
      }
    }
    return absl::OkStatus();
  });
  Resume();

  for (TestJob& job : jobs_) {
    const absl::StatusCode code = job.Wait();
    const int64_t i = job.item.num_elements;
    EXPECT_EQ(code, i == 13 || i == 14 ? absl::StatusCode::kInvalidArgument
                                       : absl::StatusCode::kOk)
        << i;
  }
  EXPECT_EQ(scheduler().counters().num_failed, 2);
  EXPECT_GT(scheduler().counters().num_reruns, 0);
  EXPECT_LE(scheduler().counters().num_reruns, 2 * 2 * 6);
}

TEST_F(SchedulerTest, ALostDeviceIsNotAskedAgain) {
  Occupy();
  for (int i = 0; i < 4; ++i) Submit(program_);
  device_.set_run(
      [](absl::Span<WorkItem>) { return absl::UnavailableError("lost"); });
  Resume();

  for (TestJob& job : jobs_) {
    EXPECT_EQ(job.Wait(), absl::StatusCode::kUnavailable);
  }
  EXPECT_THAT(device_.run_sizes(), ElementsAre(1, 4));
}

TEST_F(SchedulerTest, TellsHowLongAJobWaited) {
  Occupy();
  TestJob& job = Submit(program_);
  clock_.Advance(absl::Seconds(3));
  device_.set_run([this](absl::Span<WorkItem>) {
    clock_.Advance(absl::Seconds(5));
    return absl::OkStatus();
  });
  Resume();

  job.Wait();

  EXPECT_EQ(job.outcome.queue, absl::Seconds(3));
}

TEST_F(SchedulerTest, CountsWhatItDoes) {
  Submit(program_, 1);
  Occupy();
  for (int i = 0; i < 3; ++i) Submit(program_);
  clock_.Advance(absl::Seconds(2));
  SchedulerCounters counters = scheduler().counters();
  EXPECT_EQ(counters.num_waiting, 3);
  EXPECT_EQ(counters.waiting_bytes, 3000);
  EXPECT_EQ(counters.num_running_batches, 1);

  Resume();
  for (TestJob& job : jobs_) job.Wait();

  counters = scheduler().counters();
  EXPECT_EQ(counters.num_inline_jobs, 1);
  EXPECT_EQ(counters.num_queued_jobs, 1 + 3);
  EXPECT_EQ(counters.num_batches, 2);
  EXPECT_THAT(counters.batch_sizes,
              ElementsAre(1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  EXPECT_EQ(counters.queue_wait, absl::Seconds(3 * 2));
  EXPECT_EQ(counters.max_queue_wait, absl::Seconds(2));
  EXPECT_EQ(counters.num_waiting, 0);
  EXPECT_EQ(counters.num_running_batches, 0);
}

TEST_F(SchedulerTest, KeepsHistogramsOfWhatWaited) {
  Submit(program_, 1);  // computed at once
  Occupy();
  for (int i = 0; i < 3; ++i) Submit(program_);
  clock_.Advance(absl::Seconds(2));

  Resume();
  for (TestJob& job : jobs_) job.Wait();

  const StripedHistogram::Snapshot waits = scheduler().queue_waits();
  EXPECT_EQ(waits.counts.front(), 1);  // the one that occupied the device
  const auto two_seconds = std::ranges::find(waits.bounds, 2 * kSecond);
  EXPECT_EQ(waits.counts[two_seconds - waits.bounds.begin()], 3);
  EXPECT_EQ(waits.sum, 3 * 2 * kSecond);
  const StripedHistogram::Snapshot sizes = scheduler().batch_jobs();
  EXPECT_EQ(sizes.counts[0], 1);
  EXPECT_EQ(sizes.counts[2], 1);  // 3 jobs: beyond 2, not beyond 4
  EXPECT_EQ(sizes.sum, 1 + 3);
  int64_t num_elements = 0;
  for (size_t i = 1; i < jobs_.size(); ++i) {
    num_elements += jobs_[i].item.num_elements;
  }
  EXPECT_EQ(scheduler().batch_elements().sum, num_elements);
}

TEST_F(SchedulerTest, CountsWhatFindsNoRoomOnTheDevice) {
  const int64_t refused = NumRefused(Refusal::kDeviceMemory);
  device_.set_run([](absl::Span<WorkItem>) {
    return absl::ResourceExhaustedError("no memory");
  });

  Submit(program_, 1).Wait();
  Submit(program_).Wait();

  EXPECT_EQ(NumRefused(Refusal::kDeviceMemory) - refused, 2);
}

// Handing out results takes gRPC longer than a small batch takes a device.
TEST_F(SchedulerTest, RunsTheNextBatchWhileResultsAreHandedOut) {
  options_.num_threads = 2;
  options_.max_running_batches = 1;
  absl::Notification release;
  blocker_.when_done = [&] { release.WaitForNotification(); };
  Occupy();
  resume_.Notify();

  EXPECT_EQ(Submit(program_).Wait(), absl::StatusCode::kOk);

  EXPECT_FALSE(blocker_.done.HasBeenNotified());
  release.Notify();
  blocker_.Wait();
}

TEST_F(SchedulerTest, HoldsBatchesBackWhileEnoughRun) {
  options_.num_threads = 4;
  options_.max_running_batches = 1;
  Occupy();
  for (int i = 0; i < 3; ++i) Submit(program_);
  EXPECT_EQ(scheduler().counters().num_waiting, 3);
  Resume();

  for (TestJob& job : jobs_) job.Wait();
  EXPECT_THAT(device_.run_sizes(), ElementsAre(1, 3));
}

TEST_F(SchedulerTest, WithADelayWaitsForAFullBatch) {
  options_.queue.delay = absl::Hours(1);
  options_.queue.max_batch_jobs = 3;
  for (int i = 0; i < 3; ++i) Submit(program_);

  for (TestJob& job : jobs_) job.Wait();
  EXPECT_THAT(device_.run_sizes(), ElementsAre(3));
}

TEST_F(SchedulerTest, ADelayEnds) {
  options_.queue.delay = absl::Milliseconds(1);
  Scheduler scheduler(options_, &device_, Clock::Real());
  TestJob job(program_, 1000);
  scheduler.Submit(&job, true);
  EXPECT_EQ(job.Wait(), absl::StatusCode::kOk);
  EXPECT_GE(job.outcome.queue, absl::Milliseconds(1));
}

TEST_F(SchedulerTest, RunsWhatItAcceptedBeforeItEnds) {
  options_.queue.delay = absl::Hours(1);
  TestJob& first = Submit(program_);
  TestJob& second = Submit(NewProgram());

  scheduler_.reset();

  EXPECT_TRUE(first.done.HasBeenNotified());
  EXPECT_TRUE(second.done.HasBeenNotified());
}

TEST_F(SchedulerTest, PassesOnWhatTheDeviceSays) {
  device_.set_run(
      [](absl::Span<WorkItem>) { return absl::InternalError("broken"); });
  EXPECT_EQ(Submit(program_, 1).outcome.status, absl::InternalError("broken"));
  EXPECT_EQ(scheduler().counters().num_failed, 1);
}

// One caller sends all it can, another one job at a time: that one waits for
// what runs and for one batch, however much the first has sent.
TEST_F(SchedulerTest, AFloodDoesNotStarveOthers) {
  options_.queue.max_queued = 1000;
  options_.queue.max_queued_bytes = 1'000'000;
  options_.queue.max_batch_jobs = 4;
  Occupy();
  for (int i = 0; i < 400; ++i) Submit(program_, 1000, /*caller=*/1);
  TestJob& other = Submit(NewProgram(), 1000, /*caller=*/2);
  other.when_done = [this] {
    EXPECT_LE(device_.run_sizes().size(), 1u + 1u + 1u);
  };
  Resume();

  for (TestJob& job : jobs_) {
    EXPECT_EQ(job.Wait(), absl::StatusCode::kOk);
  }
}

// Callers on threads of their own, jobs that are cancelled, late, refused or
// bad luck for the device: each is answered once, with its own result.
TEST(SchedulerStress, AnswersEveryJobOnce) {
  constexpr int kCallers = 8;
  constexpr int kJobs = 400;
  constexpr int64_t kBad = 13;
  FakeDevice device;
  device.set_run([](absl::Span<WorkItem> items) {
    for (WorkItem& item : items) {
      if (item.num_elements == kBad) return absl::InternalError("bad");
      item.sums = {static_cast<double>(item.num_elements)};
    }
    return absl::OkStatus();
  });
  Scheduler::Options options;
  options.num_threads = 3;
  options.max_running_batches = 2;
  options.queue.max_queued = 60;
  options.queue.max_queued_bytes = 100'000;
  options.queue.max_batch_jobs = 8;
  options.inline_bytes = 1000;
  std::vector<std::shared_ptr<const Program>> programs;
  for (int i = 0; i < 4; ++i) programs.push_back(NewProgram());
  std::vector<std::deque<TestJob>> jobs(kCallers);
  std::atomic<int> num_refused = 0;
  {
    Scheduler scheduler(options, &device, Clock::Real());
    std::vector<std::thread> callers;
    for (int c = 0; c < kCallers; ++c) {
      callers.emplace_back([&, c] {
        std::mt19937 random(c);
        for (int i = 0; i < kJobs; ++i) {
          TestJob& job =
              jobs[c].emplace_back(programs[random() % 4], random() % 4000, c);
          job.item.num_elements = random() % 100;
          if (random() % 20 == 0) job.deadline = absl::Now();
          scheduler.Submit(&job, random() % 2 == 0);
          if (random() % 20 == 0) job.cancelled = true;
          if (random() % 8 == 0) job.Wait();
        }
      });
    }
    for (std::thread& caller : callers) caller.join();
    for (const auto& of_caller : jobs) {
      for (const TestJob& job : of_caller) {
        job.done.WaitForNotification();
        num_refused += absl::IsResourceExhausted(job.outcome.status);
      }
    }
    const SchedulerCounters counters = scheduler.counters();
    EXPECT_EQ(counters.num_inline_jobs + counters.num_queued_jobs +
                  counters.num_refused + counters.num_expired +
                  counters.num_cancelled,
              kCallers * kJobs);
    EXPECT_EQ(counters.num_refused, num_refused);
  }
  for (const auto& of_caller : jobs) {
    for (const TestJob& job : of_caller) {
      if (absl::IsInternal(job.outcome.status)) {
        EXPECT_EQ(job.item.num_elements, kBad);
      }
      if (!job.outcome.status.ok()) continue;
      EXPECT_NE(job.item.num_elements, kBad);
      EXPECT_THAT(job.item.sums, ElementsAre(job.item.num_elements));
    }
  }
}

}  // namespace
}  // namespace actserve
