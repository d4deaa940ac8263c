#include "server/state/programs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "server/metrics/refusals.h"
#include "server/scheduling/retry_after.h"
#include "server/testing/fake_clock.h"

namespace actserve {
namespace {

class FakeProgram final : public Program {
 public:
  explicit FakeProgram(LoweredProgram lowered) : Program(std::move(lowered)) {}
};

// "Compiles" at once, or as the test says.
class FakeDevice final : public Device {
 public:
  std::string name() const override { return "fake"; }
  std::string description() const override { return "for tests"; }
  absl::StatusOr<std::shared_ptr<const Program>> Compile(
      const LoweredProgram& lowered, const StopToken& stop) override {
    ++num_compilations;
    if (before) before();
    if (during) during();
    if (absl::Status wanted = stop.Check(); !wanted.ok()) {
      if (on_stop) on_stop();
      return wanted;
    }
    if (!status.ok()) return status;
    ++num_compiled;
    return std::make_shared<FakeProgram>(lowered);
  }
  absl::Status Run(const Program&, absl::Span<WorkItem>) override {
    return absl::UnimplementedError("");
  }

  // Begun, and brought to their end.
  std::atomic<int> num_compilations = 0;
  std::atomic<int> num_compiled = 0;
  std::function<void()> before;
  // After `before`, so that a test may set it while that waits.
  std::function<void()> during;
  // After the question whether to stop, before the answer is returned.
  std::function<void()> on_stop;
  absl::Status status;
};

constexpr CallerId kA = {.peer = 1, .connection = 11};
constexpr CallerId kB = {.peer = 2, .connection = 21};

class ProgramsTest : public testing::Test {
 protected:
  // What a request was told, and whether its client is still there.
  struct Asked {
    Programs::Result result = absl::UnknownError("");
    absl::Notification done;
    std::atomic<bool> is_cancelled = false;

    absl::StatusCode code() {
      done.WaitForNotification();
      return result.status().code();
    }
  };

  ProgramsTest() {
    Registry::Options options;
    registry_ = *Registry::Create(options);
    Registry::Text text;
    text.text = "def f(x, y, a=1.0):\n    return a * x * y\n";
    activation_ = registry_->Register(text, nullptr)->activation;
  }

  ProgramKey KeyOf(ProgramKey::Direction direction, uint64_t variables) const {
    ProgramKey key;
    key.activation_id = activation_->id();
    key.direction = direction;
    key.variables = variables;
    return key;
  }
  // Different for every number.
  ProgramKey KeyOf(int number) const {
    ProgramKey key = KeyOf(ProgramKey::Direction::kBackward, 1 + number % 7);
    key.dtype = static_cast<DType>(number / 7);
    return key;
  }
  Asked& Ask(const ProgramKey& key, const CallerId& caller = kA,
             absl::Time deadline = absl::InfiniteFuture()) {
    Asked& asked = asked_.emplace_back();
    Programs::Waiter waiter;
    waiter.caller = caller;
    waiter.deadline = deadline;
    waiter.is_cancelled = [&asked] { return asked.is_cancelled.load(); };
    waiter.done = [&asked](const Programs::Result& result) {
      asked.result = result;
      asked.done.Notify();
    };
    programs_.Get(activation_, key, std::move(waiter));
    return asked;
  }
  Programs::Result Get(const ProgramKey& key, const CallerId& caller = kA) {
    Asked& asked = Ask(key, caller);
    asked.done.WaitForNotification();
    return asked.result;
  }
  // Holds up the one compile thread, in a compilation of its own.
  void HoldUp() {
    device_.before = [this] {
      if (!held_.HasBeenNotified()) {
        held_.Notify();
        go_.WaitForNotification();
      }
    };
    holder_ = &Ask(KeyOf(27), kHolder);
    held_.WaitForNotification();
  }
  void Go() {
    go_.Notify();
    EXPECT_EQ(holder_->code(), absl::StatusCode::kOk);
  }

  static constexpr CallerId kHolder = {.peer = 9, .connection = 91};
  std::unique_ptr<Registry> registry_;
  std::shared_ptr<const RegisteredActivation> activation_;
  FakeDevice device_;
  FakeClock clock_;
  absl::Notification held_, go_;
  Asked* holder_ = nullptr;
  std::deque<Asked> asked_;
  Programs programs_{{.max_programs = 2,
                      .max_waiting = 5,
                      .compile_time_per_minute = absl::Seconds(30)},
                     &device_,
                     &clock_,
                     &pool_};
  WorkerPool pool_{{.max_queued = 10, .used_time = [this](uint64_t peer) {
                      return programs_.UsedTime(peer);
                    }}};
};

constexpr auto kForward = ProgramKey::Direction::kForward;
constexpr auto kBackward = ProgramKey::Direction::kBackward;

TEST_F(ProgramsTest, OutputsFollowTheNamesInTheOrderOfTheText) {
  const auto program = Get(KeyOf(kBackward, 0b101));
  ASSERT_TRUE(program.ok());
  const auto& outputs = (*program)->lowered().graph.outputs;
  ASSERT_EQ(outputs.size(), 2);
  EXPECT_FALSE(outputs[0].summed);
  EXPECT_TRUE(outputs[1].summed);
}

TEST_F(ProgramsTest, FindsWhatWasCompiled) {
  const ProgramKey key = KeyOf(kForward, 0);
  EXPECT_EQ(programs_.Find(key), nullptr);

  const auto program = Get(key);

  ASSERT_TRUE(program.ok());
  EXPECT_EQ(programs_.Find(key), *program);
  EXPECT_EQ(*Get(key), *program);
  EXPECT_EQ(device_.num_compilations, 1);
  EXPECT_EQ(programs_.num_found(), 1);
  EXPECT_EQ(programs_.count(), 1);
}

// Under one activation and one set of variables.
TEST_F(ProgramsTest, TellsDirectionsAndCotangentsApart) {
  std::vector<ProgramKey> keys;
  using Direction = ProgramKey::Direction;
  for (const Direction direction :
       {Direction::kForward, Direction::kBackward, Direction::kTangent}) {
    keys.push_back(KeyOf(direction, 0b1));
  }
  for (const uint64_t cotangents : {0b1, 0b101}) {
    for (const bool wrt_grad_output : {false, true}) {
      ProgramKey& key = keys.emplace_back(KeyOf(Direction::kSecondOrder, 0b1));
      key.cotangents = cotangents;
      key.wrt_grad_output = wrt_grad_output;
    }
  }
  std::set<std::string> ids;
  for (const ProgramKey& key : keys) {
    const auto program = Get(key);
    ASSERT_TRUE(program.ok()) << program.status();
    ids.insert((*program)->lowered().program_id);
    EXPECT_EQ(programs_.Find(key), *program);
  }

  EXPECT_EQ(ids.size(), keys.size());
  EXPECT_EQ(device_.num_compilations, static_cast<int>(keys.size()));
}

TEST_F(ProgramsTest, CompilesOnceForAllWhoWait) {
  HoldUp();
  Asked& first = Ask(KeyOf(1), kA);
  Asked& again = Ask(KeyOf(1), kA);
  Asked& other = Ask(KeyOf(1), kB);
  EXPECT_FALSE(first.done.HasBeenNotified());
  EXPECT_EQ(programs_.num_waiting(), 4);

  Go();

  for (Asked* asked : {&first, &again, &other}) {
    EXPECT_EQ(asked->code(), absl::StatusCode::kOk);
  }
  EXPECT_EQ(device_.num_compilations, 2);
  EXPECT_EQ(programs_.num_waiting(), 0);
}

TEST_F(ProgramsTest, RefusesWaitersOfThePeerWithMost) {
  const int64_t refused = NumRefused(Refusal::kCompileQueue);
  HoldUp();
  std::vector<Asked*> of_a;
  for (int i = 0; i < 4; ++i) of_a.push_back(&Ask(KeyOf(i), kA));

  Asked& of_b = Ask(KeyOf(5), kB);
  EXPECT_EQ(std::ranges::count_if(
                of_a, [](Asked* a) { return a->done.HasBeenNotified(); }),
            1);
  EXPECT_EQ(Ask(KeyOf(6), kA).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(RetryAfter(asked_.back().result.status()), std::nullopt);
  EXPECT_EQ(NumRefused(Refusal::kCompileQueue) - refused, 2);

  Go();
  EXPECT_EQ(of_b.code(), absl::StatusCode::kOk);
}

TEST_F(ProgramsTest, WhatNobodyWaitsForIsNotCompiled) {
  HoldUp();
  Asked& cancelled = Ask(KeyOf(1));
  Asked& late = Ask(KeyOf(2), kA, clock_.Now() + absl::Seconds(1));
  Asked& wanted = Ask(KeyOf(3));
  cancelled.is_cancelled = true;
  clock_.Advance(absl::Seconds(2));

  Go();

  EXPECT_EQ(cancelled.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(wanted.code(), absl::StatusCode::kOk);
  EXPECT_EQ(device_.num_compilations, 2);
}

TEST_F(ProgramsTest, WhoGaveUpIsToldBeforeTheOthers) {
  HoldUp();
  Asked& late = Ask(KeyOf(1), kA, clock_.Now() + absl::Seconds(1));
  Asked& wanted = Ask(KeyOf(1), kB);
  clock_.Advance(absl::Seconds(2));

  programs_.Sweep();

  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(wanted.done.HasBeenNotified());
  Go();
  EXPECT_EQ(wanted.code(), absl::StatusCode::kOk);
}

TEST_F(ProgramsTest, StopsWhatNobodyWaitsForAnyMore) {
  HoldUp();
  holder_->is_cancelled = true;

  go_.Notify();

  EXPECT_EQ(holder_->code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(Get(KeyOf(2)).ok());
  EXPECT_EQ(device_.num_compilations, 2);
  EXPECT_EQ(device_.num_compiled, 1);
}

// The first client goes and the compilation is told to stop; a second client
// comes before it has stopped, and must not be told that it gave up.
TEST_F(ProgramsTest, CompilesAgainForWhoComesWhileItStops) {
  HoldUp();
  Asked& first = Ask(KeyOf(1), kA);
  Asked* second = nullptr;
  absl::Notification came;
  device_.during = [&] {
    if (device_.num_compilations == 2) first.is_cancelled = true;
  };
  device_.on_stop = [&] {
    second = &Ask(KeyOf(1), kB);
    came.Notify();
  };

  Go();

  EXPECT_EQ(first.code(), absl::StatusCode::kCancelled);
  came.WaitForNotification();
  EXPECT_EQ(second->code(), absl::StatusCode::kOk);
  EXPECT_EQ(device_.num_compilations, 3);
}

TEST_F(ProgramsTest, CompilesAtTheFirstTurnOfThoseWhoWait) {
  HoldUp();
  Asked& first = Ask(KeyOf(1), kA);
  Asked& second = Ask(KeyOf(2), kA);
  Asked& third = Ask(KeyOf(3), kA);
  // In A's lane it is the last, in B's the first.
  Asked& of_b = Ask(KeyOf(3), kB);
  std::string order;
  device_.during = [&] {
    order += first.done.HasBeenNotified() ? '1' : '-';
    order += second.done.HasBeenNotified() ? '2' : '-';
    order += third.done.HasBeenNotified() ? '3' : '-';
    order += ' ';
  };

  Go();

  EXPECT_EQ(second.code(), absl::StatusCode::kOk);
  EXPECT_EQ(of_b.code(), absl::StatusCode::kOk);
  EXPECT_EQ(order, "--- --- 1-- 1-3 ");
}

// One text that takes seconds to compile once counted as much as one that takes
// milliseconds.
TEST_F(ProgramsTest, WhoUsedLessTimeGoesFirst) {
  device_.during = [&] { clock_.Advance(absl::Seconds(10)); };
  ASSERT_TRUE(Get(KeyOf(0), kA).ok());
  device_.during = nullptr;
  HoldUp();
  Ask(KeyOf(1), kA);
  Asked& heavy = Ask(KeyOf(2), kA);
  Asked& light = Ask(KeyOf(3), kB);
  std::vector<bool> light_is_done;
  device_.during = [&] {
    light_is_done.push_back(light.done.HasBeenNotified());
  };

  Go();
  EXPECT_EQ(heavy.code(), absl::StatusCode::kOk);

  // For the holder, for B and twice for A.
  EXPECT_EQ(light_is_done, (std::vector<bool>{false, false, true, true}));
}

TEST_F(ProgramsTest, BoundsTheTimeOfOnePeer) {
  const int64_t num_refused = NumRefused(Refusal::kCompileSeconds);
  ASSERT_TRUE(Get(KeyOf(1), kA).ok());
  // Two seconds more than five minutes allow.
  device_.during = [&] { clock_.Advance(absl::Seconds(152)); };
  EXPECT_TRUE(Get(KeyOf(2), kA).ok());
  device_.during = nullptr;

  const Programs::Result refused = Get(KeyOf(3), kA);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryAfter(refused.status()), absl::Milliseconds(4001));
  EXPECT_EQ(NumRefused(Refusal::kCompileSeconds) - num_refused, 1);
  // In the clock's time, all of it in one compilation.
  EXPECT_EQ(programs_.compile_times().sum, 152 * kSecond);
  EXPECT_EQ(programs_.compile_times().counts.back(), 1);
  EXPECT_TRUE(Get(KeyOf(1), kA).ok()) << "it is compiled";
  EXPECT_TRUE(Get(KeyOf(3), kB).ok()) << "others have their own time";

  clock_.Advance(absl::Milliseconds(4001));
  EXPECT_TRUE(Get(KeyOf(4), kA).ok());
}

TEST_F(ProgramsTest, TheTimeIsCheckedAgainAtTheTurn) {
  HoldUp();
  Asked& first = Ask(KeyOf(1), kA);
  Asked& second = Ask(KeyOf(2), kA);
  Asked& of_b = Ask(KeyOf(2), kB);
  device_.during = [&] {
    if (device_.num_compilations == 2) clock_.Advance(absl::Minutes(5));
  };

  Go();

  EXPECT_EQ(first.code(), absl::StatusCode::kOk);
  EXPECT_EQ(of_b.code(), absl::StatusCode::kOk);
  EXPECT_EQ(second.code(), absl::StatusCode::kOk) << "B's turn served it";
  EXPECT_EQ(Get(KeyOf(3), kA).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(ProgramsTest, DiscardingThePoolTellsWhoWaits) {
  HoldUp();
  Asked& queued = Ask(KeyOf(1), kA);
  Asked& other = Ask(KeyOf(1), kB);

  pool_.Discard(absl::UnavailableError("going"));

  EXPECT_EQ(queued.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(other.code(), absl::StatusCode::kUnavailable);
  Go();
  EXPECT_EQ(device_.num_compilations, 1);
}

TEST_F(ProgramsTest, StopTellsEverybodyAndStopsWhatRuns) {
  HoldUp();
  Asked& queued = Ask(KeyOf(1), kA);
  absl::Notification stopped;
  device_.on_stop = [&] { stopped.Notify(); };

  programs_.Stop(absl::UnavailableError("going"));

  EXPECT_EQ(queued.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(holder_->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Ask(KeyOf(2)).code(), absl::StatusCode::kUnavailable);
  go_.Notify();
  stopped.WaitForNotification();
  EXPECT_EQ(device_.num_compiled, 0);
}

TEST_F(ProgramsTest, TriesAgainAfterAFailure) {
  device_.status = absl::InternalError("no luck");
  EXPECT_EQ(Get(KeyOf(kForward, 0)).status(), device_.status);

  device_.status = absl::OkStatus();
  EXPECT_TRUE(Get(KeyOf(kForward, 0)).ok());
}

TEST_F(ProgramsTest, ForgetsWhatWasNotUsedForTheLongest) {
  ASSERT_TRUE(Get(KeyOf(kForward, 0)).ok());
  ASSERT_TRUE(Get(KeyOf(kForward, 1)).ok());
  ASSERT_TRUE(Get(KeyOf(kForward, 2)).ok());
  EXPECT_EQ(programs_.Find(KeyOf(kForward, 0)), nullptr);
  EXPECT_NE(programs_.Find(KeyOf(kForward, 1)), nullptr);
}

}  // namespace
}  // namespace actserve
