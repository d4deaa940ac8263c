#include "server/scheduling/batch_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <deque>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace actserve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const absl::Time kStart = absl::FromUnixSeconds(1000);

class FakeProgram final : public Program {
 public:
  FakeProgram() : Program(LoweredProgram()) {}
};

struct NamedJob : BatchQueue::QueuedJob {
  std::string name;
};

// Jobs are named by their caller, program and number: "Ap0" is the first
// that caller A sends for program p. "a" is another connection of A's peer.
class BatchQueueTest : public ::testing::Test {
 protected:
  static BatchQueue::Limits Unlimited() {
    BatchQueue::Limits limits;
    limits.max_queued = 1 << 20;
    limits.max_queued_bytes = std::numeric_limits<int64_t>::max() / 4;
    limits.max_batch_jobs = 1 << 20;
    limits.max_batch_elements = limits.max_queued_bytes;
    limits.max_batch_bytes = limits.max_queued_bytes;
    return limits;
  }

  // Names of who is refused.
  std::vector<std::string> Push(BatchQueue& queue, char caller, char program,
                                int64_t num_elements = 1,
                                absl::Time now = kStart) {
    NamedJob& job = entries_.emplace_back();
    const std::string kind = {caller, program};
    job.name = kind + std::to_string(num_sent_[kind]++);
    job.program = &programs_[program];
    // A peer's first connection has a capital letter, its second a small one.
    job.caller.peer = std::toupper(caller);
    job.caller.connection = caller;
    job.num_elements = num_elements;
    job.size_bytes = 10 * num_elements;
    job.submitted = now;
    last_refusal_ = queue.Push(&job);
    return NamesOf(last_refusal_.jobs);
  }
  std::vector<std::string> Pop(BatchQueue& queue, absl::Time now = kStart) {
    return NamesOf(queue.Pop(now));
  }
  static std::vector<std::string> NamesOf(
      const std::vector<BatchQueue::QueuedJob*>& jobs) {
    std::vector<std::string> names;
    for (const BatchQueue::QueuedJob* job : jobs) {
      names.push_back(static_cast<const NamedJob*>(job)->name);
    }
    return names;
  }

  std::deque<NamedJob> entries_;
  std::map<char, FakeProgram> programs_;
  std::map<std::string, int> num_sent_;
  BatchQueue::Refusal last_refusal_;
};

TEST_F(BatchQueueTest, PutsOneProgramIntoABatch) {
  BatchQueue queue(Unlimited());
  for (char program : {'p', 'q', 'p', 'q'}) Push(queue, 'A', program);

  EXPECT_THAT(Pop(queue), ElementsAre("Ap0", "Ap1"));
  EXPECT_THAT(Pop(queue), ElementsAre("Aq0", "Aq1"));
  EXPECT_THAT(Pop(queue), IsEmpty());
  EXPECT_TRUE(queue.empty());
}

TEST_F(BatchQueueTest, ABatchKeepsItsLimits) {
  struct Case {
    std::string name;
    BatchQueue::Limits limits = Unlimited();
    size_t want;
  };
  Case cases[] = {{.name = "jobs", .want = 3},
                  {.name = "elements", .want = 2},
                  {.name = "bytes", .want = 4}};
  cases[0].limits.max_batch_jobs = 3;
  cases[1].limits.max_batch_elements = 2 * 7;
  cases[2].limits.max_batch_bytes = 5 * 70 - 1;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    BatchQueue queue(c.limits);
    for (int i = 0; i < 10; ++i) Push(queue, 'A', 'p', /*num_elements=*/7);
    EXPECT_EQ(Pop(queue).size(), c.want);
  }
}

TEST_F(BatchQueueTest, WhatIsBeyondTheLimitsGoesAlone) {
  BatchQueue::Limits limits = Unlimited();
  limits.max_batch_elements = 10;
  BatchQueue queue(limits);
  Push(queue, 'A', 'p', 1);
  Push(queue, 'A', 'p', 100);
  Push(queue, 'A', 'p', 1);

  EXPECT_THAT(Pop(queue), ElementsAre("Ap0"));
  EXPECT_THAT(Pop(queue), ElementsAre("Ap1"));
  EXPECT_THAT(Pop(queue), ElementsAre("Ap2"));
}

TEST_F(BatchQueueTest, CallersTakeTurnsAtBeingFirst) {
  BatchQueue::Limits limits = Unlimited();
  limits.max_batch_jobs = 1;
  BatchQueue queue(limits);
  for (int i = 0; i < 3; ++i) Push(queue, 'A', 'p');
  Push(queue, 'B', 'q');
  Push(queue, 'C', 'p');

  std::vector<std::string> order;
  while (!queue.empty()) order.push_back(Pop(queue)[0]);

  EXPECT_THAT(order, ElementsAre("Ap0", "Bq0", "Cp0", "Ap1", "Ap2"));
}

TEST_F(BatchQueueTest, ConnectionsShareTheTurnOfTheirPeer) {
  BatchQueue::Limits limits = Unlimited();
  limits.max_batch_jobs = 1;
  BatchQueue queue(limits);
  for (int i = 0; i < 3; ++i) Push(queue, 'A', 'p');
  for (int i = 0; i < 2; ++i) Push(queue, 'a', 'q');
  for (int i = 0; i < 3; ++i) Push(queue, 'B', 'p');

  std::vector<std::string> order;
  while (!queue.empty()) order.push_back(Pop(queue)[0]);

  EXPECT_THAT(order, ElementsAre("Ap0", "Bp0", "aq0", "Bp1", "Ap1", "Bp2",
                                 "aq1", "Ap2"));
}

TEST_F(BatchQueueTest, ABatchTakesFromEveryCallerInTurn) {
  BatchQueue::Limits limits = Unlimited();
  limits.max_batch_jobs = 4;
  BatchQueue queue(limits);
  for (int i = 0; i < 5; ++i) Push(queue, 'A', 'p');
  Push(queue, 'B', 'p');
  Push(queue, 'C', 'p');

  EXPECT_THAT(Pop(queue), ElementsAre("Ap0", "Bp0", "Cp0", "Ap1"));
}

TEST_F(BatchQueueTest, TheProgramsOfACallerTakeTurns) {
  BatchQueue::Limits limits = Unlimited();
  limits.max_batch_jobs = 1;
  BatchQueue queue(limits);
  for (int i = 0; i < 3; ++i) Push(queue, 'A', 'p');
  Push(queue, 'A', 'q');

  EXPECT_THAT(Pop(queue), ElementsAre("Ap0"));
  EXPECT_THAT(Pop(queue), ElementsAre("Aq0"));
  EXPECT_THAT(Pop(queue), ElementsAre("Ap1"));
}

TEST_F(BatchQueueTest, ManyProgramsDoNotMakeACallerMoreImportant) {
  BatchQueue queue(Unlimited());
  for (char program = 'a'; program <= 'z'; ++program) {
    Push(queue, 'A', program);
  }
  Push(queue, 'B', 'P');

  EXPECT_THAT(Pop(queue), ElementsAre("Aa0"));
  EXPECT_THAT(Pop(queue), ElementsAre("BP0"));
}

TEST_F(BatchQueueTest, RefusesMoreEntriesThanItsLimit) {
  BatchQueue::Limits limits = Unlimited();
  limits.max_queued = 2;
  BatchQueue queue(limits);
  Push(queue, 'A', 'p');
  Push(queue, 'A', 'p');

  EXPECT_THAT(Push(queue, 'A', 'p'), ElementsAre("Ap2"));
  EXPECT_EQ(last_refusal_.reason,
            absl::ResourceExhaustedError(
                "queue full: 2 requests are waiting, limit 2 (--max_queued)"));
  EXPECT_THAT(Pop(queue), ElementsAre("Ap0", "Ap1"));
}

TEST_F(BatchQueueTest, RefusesMoreBytesThanItsLimit) {
  BatchQueue::Limits limits = Unlimited();
  limits.max_queued_bytes = 100;
  BatchQueue queue(limits);

  EXPECT_THAT(Push(queue, 'A', 'p', 11), ElementsAre("Ap0")) << "never fits";
  EXPECT_THAT(Push(queue, 'A', 'p', 6), IsEmpty());
  EXPECT_THAT(Push(queue, 'A', 'p', 6), ElementsAre("Ap2"));
  EXPECT_EQ(
      last_refusal_.reason,
      absl::ResourceExhaustedError("queue full: 60 bytes are waiting and 60 "
                                   "arrived, limit 100 (--max_queued_bytes)"));
  EXPECT_THAT(Push(queue, 'A', 'p', 4), IsEmpty());
  EXPECT_EQ(queue.queued_bytes(), 100);
}

TEST_F(BatchQueueTest, AFullQueueRefusesWhoeverHoldsMostOfIt) {
  BatchQueue::Limits limits = Unlimited();
  limits.max_queued = 4;
  BatchQueue queue(limits);
  for (int i = 0; i < 4; ++i) Push(queue, 'A', 'p');

  EXPECT_THAT(Push(queue, 'B', 'p'), ElementsAre("Ap3"));
  EXPECT_THAT(Push(queue, 'B', 'p'), ElementsAre("Ap2"));
  EXPECT_THAT(Push(queue, 'B', 'p'), ElementsAre("Bp2")) << "equal shares";
  EXPECT_THAT(Pop(queue), ElementsAre("Ap0", "Bp0", "Ap1", "Bp1"));
}

TEST_F(BatchQueueTest, MoreConnectionsAreNotAReasonToGiveWay) {
  BatchQueue::Limits limits = Unlimited();
  limits.max_queued = 4;
  BatchQueue queue(limits);
  for (int i = 0; i < 3; ++i) Push(queue, 'A', 'p');
  Push(queue, 'B', 'p');

  EXPECT_THAT(Push(queue, 'a', 'p'), ElementsAre("Ap2"));
  EXPECT_THAT(Push(queue, 'a', 'p'), ElementsAre("ap1")) << "as many as A";
  EXPECT_THAT(Push(queue, 'B', 'p'), ElementsAre("Ap1"));
}

TEST_F(BatchQueueTest, TheSameForBytes) {
  BatchQueue::Limits limits = Unlimited();
  limits.max_queued_bytes = 1000;
  BatchQueue queue(limits);
  for (int i = 0; i < 10; ++i) Push(queue, 'A', 'p', 10);

  EXPECT_THAT(Push(queue, 'B', 'p', 15), ElementsAre("Ap9", "Ap8"));
  EXPECT_THAT(Push(queue, 'B', 'p', 60), ElementsAre("Bp1"))
      << "would leave A with less than B";
  EXPECT_THAT(Push(queue, 'a', 'p', 20), ElementsAre("Ap7", "Ap6"));
  EXPECT_EQ(queue.queued_bytes(), 600 + 150 + 200);
}

TEST_F(BatchQueueTest, WithADelayWaitsForCompany) {
  BatchQueue::Limits limits = Unlimited();
  limits.delay = absl::Milliseconds(5);
  BatchQueue queue(limits);
  EXPECT_EQ(queue.NextDue(), absl::InfiniteFuture());
  Push(queue, 'A', 'p', 1, kStart);
  Push(queue, 'A', 'q', 1, kStart + absl::Milliseconds(1));
  Push(queue, 'B', 'p', 1, kStart + absl::Milliseconds(4));

  EXPECT_EQ(queue.NextDue(), kStart + absl::Milliseconds(5));
  EXPECT_THAT(Pop(queue, kStart + absl::Milliseconds(4)), IsEmpty());
  EXPECT_THAT(Pop(queue, kStart + absl::Milliseconds(5)),
              ElementsAre("Ap0", "Bp0"));
  EXPECT_EQ(queue.NextDue(), kStart + absl::Milliseconds(6));
}

TEST_F(BatchQueueTest, AFullBatchDoesNotWaitOutItsDelay) {
  BatchQueue::Limits limits = Unlimited();
  limits.delay = absl::Hours(1);
  limits.max_batch_jobs = 2;
  BatchQueue queue(limits);
  Push(queue, 'A', 'q');
  Push(queue, 'A', 'p');
  EXPECT_GT(queue.NextDue(), kStart);
  Push(queue, 'A', 'p');

  EXPECT_EQ(queue.NextDue(), absl::InfinitePast());
  EXPECT_THAT(Pop(queue), ElementsAre("Ap0", "Ap1"));
  EXPECT_THAT(Pop(queue), IsEmpty());

  queue.StopDelaying();
  EXPECT_THAT(Pop(queue), ElementsAre("Aq0"));
}

// Callers and programs come and go by the thousand; what is remembered of
// them is bounded, and forgetting does not lose what waits.
TEST_F(BatchQueueTest, EverythingPushedIsPoppedOnceOrRefused) {
  BatchQueue::Limits limits = Unlimited();
  limits.max_queued = 50;
  limits.max_queued_bytes = 3000;
  limits.max_batch_jobs = 7;
  limits.max_batch_elements = 40;
  BatchQueue queue(limits);
  std::deque<FakeProgram> programs(5000);
  std::deque<BatchQueue::QueuedJob> jobs;
  std::map<const BatchQueue::QueuedJob*, int> times_left;
  std::mt19937 random(1);
  int64_t queued_bytes = 0;
  int num_queued = 0;

  const auto leave = [&](const BatchQueue::QueuedJob* job, bool was_queued) {
    ++times_left[job];
    num_queued -= was_queued;
    queued_bytes -= was_queued ? job->size_bytes : 0;
  };
  for (int step = 0; step < 100'000; ++step) {
    if (random() % 8 != 0) {
      BatchQueue::QueuedJob& job = jobs.emplace_back();
      job.program = &programs[random() % (step % 3 == 0 ? 5000 : 3)];
      job.caller.peer = random() % (step % 2 == 0 ? 4 : 4000);
      job.caller.connection = job.caller.peer * 3 + random() % 3;
      job.num_elements = random() % 12;
      job.size_bytes = 10 * job.num_elements;
      num_queued += 1;
      queued_bytes += job.size_bytes;
      for (auto* refused : queue.Push(&job).jobs) leave(refused, true);
    } else {
      const Program* program = nullptr;
      int64_t num_elements = 0;
      const auto batch = queue.Pop(kStart);
      EXPECT_EQ(batch.empty(), num_queued == 0);
      for (const BatchQueue::QueuedJob* job : batch) {
        if (program == nullptr) program = job->program;
        EXPECT_EQ(job->program, program);
        num_elements += job->num_elements;
        leave(job, true);
      }
      EXPECT_LE(batch.size(), 7u);
      EXPECT_LE(num_elements, 40);
    }
    ASSERT_EQ(queue.num_queued(), num_queued);
    ASSERT_EQ(queue.queued_bytes(), queued_bytes);
    ASSERT_LE(num_queued, 50);
    ASSERT_LE(queued_bytes, 3000);
  }
  while (!queue.empty()) {
    for (const auto* job : queue.Pop(kStart)) leave(job, true);
  }
  ASSERT_EQ(times_left.size(), jobs.size());
  for (const auto& [job, times] : times_left) ASSERT_EQ(times, 1);
}

}  // namespace
}  // namespace actserve
