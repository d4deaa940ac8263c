// A front door of the test's own over Evaluation: tensors in this process'
// memory in, tensors out, and no transport.

#include "server/evaluation/evaluation.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "server/testing/engine_parts.h"
#include "server/testing/fake_clock.h"
#include "server/testing/interpreter_device.h"

namespace actserve {
namespace {

// The second door: one request of float32 tensors in memory.
class MemoryDoor final : private Evaluation {
 public:
  MemoryDoor(const ServingParts& parts, std::vector<std::vector<float>> inputs,
             absl::Time deadline = absl::InfiniteFuture())
      : Evaluation(parts, absl::Now(), deadline),
        memory_(std::make_shared<std::vector<std::vector<float>>>(
            std::move(inputs))) {}

  TensorRequest request_of(const std::string& activation,
                           ProgramKey::Direction direction) const {
    TensorRequest request;
    request.activation = parts().registry.Find(activation);
    request.type.num_elements = static_cast<int64_t>((*memory_)[0].size());
    request.type.shape = {request.type.num_elements};
    request.program.activation_id = request.activation->id();
    request.program.direction = direction;
    for (size_t i = 0; i < memory_->size(); ++i) {
      request.payloads.push_back(static_cast<int>(i));
    }
    for (const Parameter& parameter :
         request.activation->activation().parameters()) {
      request.parameters.push_back(parameter.default_value);
    }
    return request;
  }

  // Waits for the end.
  void Run(TensorRequest request) {
    DecodedRequest decoded;
    decoded.request = std::move(request);
    for (const std::vector<float>& input : *memory_) {
      decoded.inputs.push_back(
          {{reinterpret_cast<const std::byte*>(input.data()),
            input.size() * sizeof(float)}});
    }
    Evaluate(std::move(decoded));
    done_.WaitForNotification();
  }
  void RunPlanned(std::shared_ptr<const CallPlan> plan) {
    SplitRequest split;
    split.fragments = {
        {reinterpret_cast<const std::byte*>((*memory_)[0].data()),
         (*memory_)[0].size() * sizeof(float)}};
    split.payloads = {
        {.first = 0, .count = 1, .size_bytes = split.fragments[0].size_bytes}};
    Evaluate(std::move(plan), split);
    done_.WaitForNotification();
  }

  std::vector<float> tensor(int index) const {
    const Buffer& buffer = result->tensors[index];
    std::vector<float> values(buffer.size_bytes() / sizeof(float));
    std::memcpy(values.data(), buffer.data(), buffer.size_bytes());
    return values;
  }

  std::optional<TensorResult> result;
  absl::Status error;
  std::shared_ptr<CallPlan> planned;
  bool is_cancelled = false;

 private:
  CallerId caller() const override { return {.peer = 1}; }
  bool IsCancelled() const override { return is_cancelled; }
  void OnPlan(const std::shared_ptr<CallPlan>& plan) override {
    planned = plan;
  }
  std::shared_ptr<const void> ReleaseInputs() override {
    return std::exchange(memory_, nullptr);
  }
  void Succeed(TensorResult got) override {
    result = std::move(got);
    done_.Notify();
  }
  void Fail(const absl::Status& status) override {
    error = status;
    done_.Notify();
  }

  std::shared_ptr<std::vector<std::vector<float>>> memory_;
  absl::Notification done_;
};

constexpr auto kForward = ProgramKey::Direction::kForward;
constexpr auto kBackward = ProgramKey::Direction::kBackward;

class EvaluationTest : public ::testing::Test {
 protected:
  testing::InterpreterDevice device_;
  testing::EngineParts engine_{&device_, /*max_memory_bytes=*/4096};
  const ServingParts& parts_ = engine_.parts;
  Residuals& residuals_ = engine_.residuals;
  MemoryBudget& memory_ = engine_.memory;
};

TEST_F(EvaluationTest, ComputesADecodedRequest) {
  MemoryDoor door(parts_, {{-1, 0, 2}});

  door.Run(door.request_of("relu", kForward));

  ASSERT_TRUE(door.result.has_value()) << door.error;
  EXPECT_EQ(door.tensor(0), (std::vector<float>{0, 0, 2}));
  EXPECT_EQ(door.result->residual_handle, "");
}

TEST_F(EvaluationTest, ComputesAPlanWithoutDecoding) {
  MemoryDoor first(parts_, {{1, 2}});
  first.Run(first.request_of("relu", kForward));
  MemoryDoor second(parts_, {{-3, 4}});

  second.RunPlanned(first.planned);

  ASSERT_TRUE(second.result.has_value()) << second.error;
  EXPECT_EQ(second.tensor(0), (std::vector<float>{0, 4}));
  EXPECT_EQ(second.planned, nullptr);
  EXPECT_EQ(device_.num_compiled, 1);
}

TEST_F(EvaluationTest, KeepsInputsForABackwardThatOutlivesTheDoor) {
  std::string handle;
  {
    MemoryDoor forward(parts_, {{-1, 3}});
    TensorRequest request = forward.request_of("relu", kForward);
    request.residual_lease = absl::Minutes(1);
    forward.Run(std::move(request));
    ASSERT_TRUE(forward.result.has_value()) << forward.error;
    handle = forward.result->residual_handle;
  }

  const auto residual = residuals_.Get(handle);

  ASSERT_NE(residual, nullptr);
  ASSERT_EQ(residual->inputs.size(), 1);
  float kept[2];
  std::memcpy(kept, residual->inputs[0][0].data, sizeof(kept));
  EXPECT_EQ(kept[0], -1);
  EXPECT_EQ(kept[1], 3);
}

TEST_F(EvaluationTest, GivesTensorsAndSumsOfABackward) {
  MemoryDoor door(parts_, {{-2, 4}, {1, 10}});
  TensorRequest request = door.request_of("leaky_relu", kBackward);
  request.variables = {0, 1};
  request.program.variables = 0b11;

  door.Run(std::move(request));

  ASSERT_TRUE(door.result.has_value()) << door.error;
  EXPECT_EQ(door.tensor(0), (std::vector<float>{0.01f, 10}));
  EXPECT_EQ(door.result->sums, std::vector<double>{-2});
}

TEST_F(EvaluationTest, RefusesResultsThatHaveNoRoom) {
  MemoryDoor fits(parts_, {std::vector<float>(256, 1)});
  fits.Run(fits.request_of("relu", kForward));
  MemoryDoor large(parts_, {std::vector<float>(1024, 1)});
  large.Run(large.request_of("relu", kForward));

  // What the first one still holds.
  EXPECT_EQ(memory_.used_bytes(MemoryBudget::Half::kResults), 1024);
  EXPECT_EQ(large.error.code(), absl::StatusCode::kResourceExhausted);
  fits.result.reset();
  EXPECT_EQ(memory_.used_bytes(MemoryBudget::Half::kResults), 0);
}

// The clock stands still but for what the test adds.
TEST_F(EvaluationTest, TellsTheTimeInTheQueueFromTheRest) {
  FakeClock clock;
  Scheduler::Options options;
  options.max_running_batches = 1;
  options.num_threads = 1;
  options.inline_bytes = -1;
  Scheduler scheduler(options, &device_, &clock);
  const ServingParts parts{parts_.limits,    parts_.device,   parts_.registry,
                           parts_.plans,     parts_.programs, scheduler,
                           parts_.residuals, parts_.buffers,  parts_.memory};
  // Compiles the program, so that the next requests go straight to the queue.
  MemoryDoor warm_up(parts_, {{1}});
  warm_up.Run(warm_up.request_of("relu", kForward));
  absl::Notification started;
  absl::Notification may_finish;
  device_.started = &started;
  device_.may_finish = &may_finish;
  MemoryDoor busy(parts, {{1}});
  std::thread first([&] { busy.Run(busy.request_of("relu", kForward)); });
  started.WaitForNotification();
  device_.started = nullptr;

  MemoryDoor waiting(parts, {{1}});
  std::thread second(
      [&] { waiting.Run(waiting.request_of("relu", kForward)); });
  while (scheduler.counters().num_waiting == 0) std::this_thread::yield();
  clock.Advance(absl::Seconds(5));
  may_finish.Notify();
  first.join();
  second.join();

  EXPECT_EQ(busy.result->queue, absl::ZeroDuration());
  EXPECT_EQ(waiting.result->queue, absl::Seconds(5));
}

TEST_F(EvaluationTest, SaysHowLongTheRestTook) {
  MemoryDoor door(parts_, {{1}});

  door.Run(door.request_of("relu", kForward));

  ASSERT_TRUE(door.result.has_value()) << door.error;
  EXPECT_GE(door.result->queue, absl::ZeroDuration());
  EXPECT_GT(door.result->other, absl::ZeroDuration());
}

TEST_F(EvaluationTest, FailsIfTheProgramCannotBeCompiled) {
  device_.compile_error = absl::InternalError("no such luck");
  MemoryDoor door(parts_, {{1}});

  door.Run(door.request_of("relu", kForward));

  EXPECT_EQ(door.error, device_.compile_error);
  EXPECT_FALSE(door.result.has_value());
}

TEST_F(EvaluationTest, FailsIfTheDeviceDoes) {
  device_.run_error = absl::UnavailableError("lost");
  MemoryDoor door(parts_, {{1}});

  door.Run(door.request_of("relu", kForward));

  EXPECT_EQ(door.error.code(), absl::StatusCode::kUnavailable);
}

TEST_F(EvaluationTest, NeverStartsLateOrUnwantedWork) {
  MemoryDoor late(parts_, {{1}}, absl::Now() - absl::Seconds(1));
  late.Run(late.request_of("relu", kForward));
  EXPECT_EQ(late.error.code(), absl::StatusCode::kDeadlineExceeded);

  MemoryDoor unwanted(parts_, {{1}});
  unwanted.is_cancelled = true;
  unwanted.Run(unwanted.request_of("relu", kForward));
  EXPECT_EQ(unwanted.error.code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace actserve
