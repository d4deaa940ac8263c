#include "client/local/distances.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DistancesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = testing::ServerProcess::Start(
        testing::BinaryOfBuild(ACTSERVED_BINARY), {"--device=cpu"});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    local_options_.cache_directory = "none";
  }

  static Step StepOf(const std::string& activation) {
    Step step;
    step.activation = [activation](Client&) { return activation; };
    step.shape = {64, 16};
    return step;
  }

  std::unique_ptr<testing::ServerProcess> server_;
  LocalOptions local_options_;
};

TEST_F(DistancesTest, MeasuresEveryWayThatThereIs) {
  const auto ways = WaysTo(server_->unix_address(), {}, local_options_);
  ASSERT_TRUE(ways.ok()) << ways.status();

  const auto distances = Measure(*ways, StepOf("gelu"), absl::Milliseconds(20));

  ASSERT_TRUE(distances.ok()) << distances.status();
  std::vector<std::string> names;
  for (const Distance& each : *distances) {
    names.push_back(each.way);
    EXPECT_TRUE(each.status.ok()) << each.way << ": " << each.status;
    EXPECT_GT(each.forward, absl::ZeroDuration()) << each.way;
    EXPECT_GT(each.step, each.forward) << each.way;
  }
  EXPECT_THAT(names, ElementsAre("local", "shared memory, in place",
                                 "shared memory, copied", "sent"));
}

TEST_F(DistancesTest, AWayThatFailsSaysWhy) {
  const auto ways = WaysTo("127.0.0.1:1", {.max_attempts = 1}, local_options_);
  ASSERT_TRUE(ways.ok()) << ways.status();

  const auto distances = Measure(*ways, StepOf("gelu"), absl::Milliseconds(5));
  const auto unknown = Measure(*ways, StepOf("no_such"), absl::Milliseconds(5));

  ASSERT_TRUE(distances.ok()) << distances.status();
  EXPECT_TRUE((*distances)[0].status.ok()) << (*distances)[0].status;
  EXPECT_TRUE(absl::IsUnavailable((*distances)[1].status));
  ASSERT_TRUE(unknown.ok());
  EXPECT_TRUE(absl::IsNotFound((*unknown)[0].status));
}

TEST_F(DistancesTest, ShapesThatAreNone) {
  const auto ways = WaysTo("", {}, local_options_);
  ASSERT_TRUE(ways.ok()) << ways.status();
  Step step = StepOf("gelu");
  step.shape = {1 << 20, 1 << 20};

  const auto distances = Measure(*ways, step, absl::Milliseconds(5));

  EXPECT_TRUE(absl::IsInvalidArgument(distances.status()));
  EXPECT_THAT(distances.status().message(), HasSubstr("[1048576, 1048576]"));
}

TEST_F(DistancesTest, AutoGivesTheSameBitsAtEverySize) {
  const auto client = Client::Auto(server_->unix_address(), {}, local_options_);
  ASSERT_TRUE(client.ok()) << client.status();
  const auto registered = (*client)->RegisterActivation(
      "def f(x, a=0.5):\n    return x if x > 0 else a * x\n");
  ASSERT_TRUE(registered.ok()) << registered.status();
  for (const size_t size : {10, 10'000, 3'000'000}) {
    std::vector<float> x(size), y(size), dx(size);
    for (size_t i = 0; i < size; ++i) x[i] = static_cast<float>(i % 7) - 3;
    ForwardCall forward;
    forward.activation = registered->activation().id();
    forward.inputs = {View(x)};
    forward.output = MutableBytes(y);
    forward.keep_residual = true;

    const auto result = (*client)->ForwardWith(forward);

    ASSERT_TRUE(result.ok()) << result.status();
    BackwardCall backward;
    backward.activation = forward.activation;
    backward.residual = result->residual->handle();
    backward.grad_output = View(x);
    backward.wrt = {{"x", MutableBytes(dx)}};
    const auto gradients = (*client)->Backward(backward);
    ASSERT_TRUE(gradients.ok()) << gradients.status();
    for (size_t i = 0; i < size; ++i) {
      ASSERT_EQ(y[i], x[i] > 0 ? x[i] : 0.5F * x[i]);
      ASSERT_EQ(dx[i], x[i] > 0 ? x[i] : 0.5F * x[i]);
    }
  }
}

TEST_F(DistancesTest, AutoComputesHereWhileTheServerIsGone) {
  const auto client = Client::Auto(
      server_->tcp_address(), {.timeout = absl::Seconds(10), .max_attempts = 1},
      local_options_);
  ASSERT_TRUE(client.ok()) << client.status();
  server_->Signal(SIGKILL);
  std::vector<float> x = {-1, 2}, y(2);

  const absl::Status status =
      (*client)->Forward("relu", {View(x)}, MutableBytes(y));

  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(y, ElementsAre(0, 2));
}

}  // namespace
}  // namespace actserve
