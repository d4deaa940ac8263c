#include "server/state/programs.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"

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
      const LoweredProgram& lowered, const StopToken&) override {
    ++num_compilations;
    if (before) before();
    if (!status.ok()) return status;
    return std::make_shared<FakeProgram>(lowered);
  }
  absl::Status Run(const Program&, absl::Span<WorkItem>) override {
    return absl::UnimplementedError("");
  }

  std::atomic<int> num_compilations = 0;
  std::function<void()> before;
  absl::Status status;
};

class ProgramsTest : public testing::Test {
 protected:
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
  Programs::Result Get(const ProgramKey& key) {
    Programs::Result result = absl::UnknownError("");
    absl::Notification done;
    programs_.Get(activation_, key, [&](const Programs::Result& got) {
      result = got;
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }

  std::unique_ptr<Registry> registry_;
  std::shared_ptr<const RegisteredActivation> activation_;
  FakeDevice device_;
  Programs programs_{{.max_programs = 2, .max_waiting = 4}, &device_, &pool_};
  WorkerPool pool_{1, 10};
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
}

TEST_F(ProgramsTest, CompilesOnceForAllWhoWait) {
  absl::Notification go;
  device_.before = [&] { go.WaitForNotification(); };
  std::atomic<int> num_done = 0;
  for (int i = 0; i < 3; ++i) {
    programs_.Get(activation_, KeyOf(kForward, 0),
                  [&](const Programs::Result& result) {
                    EXPECT_TRUE(result.ok());
                    ++num_done;
                  });
  }
  EXPECT_EQ(num_done, 0);

  go.Notify();
  EXPECT_TRUE(Get(KeyOf(kForward, 1)).ok());

  EXPECT_EQ(num_done, 3);
  EXPECT_EQ(device_.num_compilations, 2);
}

TEST_F(ProgramsTest, RefusesMoreWaitersThanItsLimit) {
  absl::Notification go;
  device_.before = [&] { go.WaitForNotification(); };
  for (int i = 0; i < 4; ++i) {
    programs_.Get(activation_, KeyOf(kForward, 0),
                  [](const Programs::Result&) {});
  }

  EXPECT_EQ(Get(KeyOf(kForward, 0)).status().code(),
            absl::StatusCode::kResourceExhausted);

  go.Notify();
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
