// Client::Local() alone.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "client/cpp/client.h"
#include "client/cpp/message/envelope.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;

constexpr char kSpiky[] = R"(
def spiky(x, scale=1.0):
    r = x % 1
    return scale * r if r <= 0.5 else 0
)";
constexpr int64_t kLarge = int64_t{1} << 20;

std::vector<float> Numbers(int64_t count, int seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(count);
  for (float& number : numbers) number = normal(random);
  return numbers;
}

class LocalTest : public ::testing::Test {
 protected:
  // Abseil's search for lock cycles, off in our programs, is not built for
  // ThreadSanitizer and looks like a race.
  static void SetUpTestSuite() {
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  }
  void SetUp() override {
    auto client = Client::Local({.cache_directory = "none"});
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }

  std::vector<float> Forward(const std::string& activation,
                             const std::vector<float>& x) {
    std::vector<float> y(x.size());
    const absl::Status status =
        client_->Forward(activation, {View(x)}, MutableBytes(y));
    EXPECT_TRUE(status.ok()) << status;
    return y;
  }

  std::unique_ptr<Client> client_;
};

void ExpectSilu(const std::vector<float>& x, const std::vector<float>& y) {
  for (size_t i = 0; i < x.size(); ++i) {
    const double want = x[i] / (1 + std::exp(-double{x[i]}));
    ASSERT_NEAR(y[i], want, 1e-6) << "at " << x[i];
  }
}

TEST_F(LocalTest, ComputesTensorsOfAnySize) {
  for (const int64_t size : {int64_t{0}, int64_t{1}, int64_t{1000}, kLarge}) {
    const std::vector<float> x = Numbers(size);
    ExpectSilu(x, Forward("silu", x));
  }
  EXPECT_EQ(client_->address(), "local");
  EXPECT_TRUE(client_->Health().ok());
}

TEST_F(LocalTest, AnOutputMayBeAnInput) {
  for (const int64_t size : {int64_t{100}, kLarge}) {
    const std::vector<float> x = Numbers(size);
    std::vector<float> both = x;

    ASSERT_TRUE(
        client_->Forward("silu", {View(both)}, MutableBytes(both)).ok());

    ExpectSilu(x, both);
  }
}

// The last input reaches into the output, but for its first element.
TEST_F(LocalTest, AnOutputMayReachIntoAnInput) {
  const std::vector<float> x = Numbers(kLarge + 1);
  std::vector<float> memory = x;
  const auto bytes = MutableBytes(memory);

  ASSERT_TRUE(client_
                  ->Forward("silu",
                            {View(absl::MakeConstSpan(memory).subspan(1))},
                            bytes.subspan(0, 4 * kLarge))
                  .ok());

  ExpectSilu({x.begin() + 1, x.end()}, {memory.begin(), memory.end() - 1});
}

TEST_F(LocalTest, HasTheGradientsOfItsTexts) {
  const auto spiky = client_->RegisterActivation(kSpiky);
  ASSERT_TRUE(spiky.ok()) << spiky.status();
  const std::vector<float> x = {0.25F, 1.75F, -0.9F, 2.5F};
  const std::vector<float> dy = {1, 2, 3, 4};
  std::vector<float> dx(4);

  BackwardCall call;
  call.activation = spiky->activation().id();
  call.inputs = {View(x)};
  call.grad_output = View(dy);
  call.wrt = {{"x", MutableBytes(dx)}, {"scale", {}}};
  call.options.parameters = {{"scale", 2.0}};
  const auto result = client_->Backward(call);

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(dx, (std::vector<float>{2, 0, 6, 8}));
  EXPECT_NEAR(result->parameter_gradients.at("scale"), 0.25 + 0.3 + 2.0, 1e-6);
  EXPECT_EQ(result->device, "cpu");
}

TEST_F(LocalTest, KeepsACopyOfTheInputs) {
  for (const int64_t size : {int64_t{100}, kLarge}) {
    const std::vector<float> x = Numbers(size);
    std::vector<float> input = x;
    std::vector<float> y(size), by_handle(size), by_inputs(size);
    ForwardCall call;
    call.activation = "tanh";
    call.inputs = {View(input)};
    call.output = MutableBytes(y);
    call.keep_residual = true;
    const auto forward = client_->ForwardWith(call);
    ASSERT_TRUE(forward.ok()) << forward.status();
    ASSERT_TRUE(forward->residual.has_value());
    input.assign(size, 0);

    BackwardCall backward;
    backward.activation = "tanh";
    backward.residual = forward->residual->handle();
    backward.wrt = {{"x", MutableBytes(by_handle)}};
    ASSERT_TRUE(client_->Backward(backward).ok());
    backward.residual.clear();
    backward.inputs = {View(x)};
    backward.wrt = {{"x", MutableBytes(by_inputs)}};
    ASSERT_TRUE(client_->Backward(backward).ok());

    EXPECT_EQ(by_handle, by_inputs);
    EXPECT_EQ(*client_->ReleaseResiduals({forward->residual->handle()}), 1);
  }
}

TEST_F(LocalTest, SaysWhatIsWrong) {
  const std::vector<float> x = {1, 2};
  std::vector<float> y(2);
  const auto bad = client_->RegisterActivation("def f(x):\n    return g(x)\n");
  EXPECT_EQ(bad.status().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_EQ(ErrorDiagnostics(bad.status()).size(), 1);
  EXPECT_EQ(ErrorDiagnostics(bad.status())[0].line(), 2);

  const absl::Status unknown =
      client_->Forward("no_such", {View(x)}, MutableBytes(y));
  EXPECT_EQ(unknown.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ErrorReason(unknown), kActivationUnknown);

  const absl::Status no_axis =
      client_->Forward("softmax", {View(x)}, MutableBytes(y));
  EXPECT_EQ(no_axis.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(no_axis.message()), HasSubstr("axis"));

  for (const LocalOptions& options :
       {LocalOptions{.device = "tpu"}, LocalOptions{.num_threads = -1},
        LocalOptions{.timeout = absl::ZeroDuration()}}) {
    EXPECT_EQ(Client::Local(options).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(LocalTest, ACancelledCallDoesNotStart) {
  const std::vector<float> x = Numbers(100);
  std::vector<float> y(100, 7);
  Cancellation cancellation;
  cancellation.Cancel();

  CallOptions options;
  options.cancellation = &cancellation;
  const absl::Status status =
      client_->Forward("silu", {View(x)}, MutableBytes(y), options);

  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(y, std::vector<float>(100, 7));
}

// A request of tensors of `count` float32, as bindings encode it.
template <typename Request>
Request EncodedFor(const std::string& activation, int64_t count) {
  Request request;
  request.set_activation(activation);
  request.add_inputs()->set_dtype(v1::DTYPE_FLOAT32);
  request.mutable_inputs(0)->add_shape(count);
  return request;
}

TEST_F(LocalTest, RepeatsEncodedCallsIntoTheirPlaces) {
  for (const int64_t size : {int64_t{0}, int64_t{1}, int64_t{100000}}) {
    for (const char* const activation : {"silu", "spiky"}) {
      const auto spiky = client_->RegisterActivation(kSpiky);
      const std::string id = activation == std::string("spiky")
                                 ? spiky->activation().id()
                                 : activation;
      auto backward = EncodedFor<v1::BackwardRequest>(id, size);
      *backward.mutable_grad_output() = backward.inputs(0);
      const auto forward = EncodedFor<v1::ForwardRequest>(id, size);
      // The first call makes the plan of the others.
      for (int seed = 1; seed <= 3; ++seed) {
        const std::vector<float> x = Numbers(size, seed);
        const std::vector<float> dy = Numbers(size, -seed);
        std::vector<float> want_dx(size);
        BackwardCall call;
        call.activation = id;
        call.inputs = {View(x)};
        call.grad_output = View(dy);
        call.wrt = {{"x", MutableBytes(want_dx)}};
        ASSERT_TRUE(client_->Backward(call).ok());
        std::vector<float> y(size);
        std::vector<float> dx(size);

        const absl::Status forth = client_->CallInto(
            "Forward", Envelope(forward, {View(x).bytes}).parts(),
            {MutableBytes(y)});
        const absl::Status back = client_->CallInto(
            "Backward",
            Envelope(backward, {View(x).bytes, View(dy).bytes}).parts(),
            {MutableBytes(dx)});

        ASSERT_TRUE(forth.ok()) << forth;
        ASSERT_TRUE(back.ok()) << back;
        EXPECT_EQ(y, Forward(id, x));
        EXPECT_EQ(dx, want_dx);
      }
    }
  }
}

TEST_F(LocalTest, AnEncodedCallTakesCareOfItsPlaces) {
  const auto request = EncodedFor<v1::ForwardRequest>("silu", 1000);
  const std::vector<float> x = Numbers(1000);
  for (int round = 0; round < 2; ++round) {
    std::vector<float> both = x;
    std::vector<float> small(999);

    const absl::Status in_place = client_->CallInto(
        "Forward", Envelope(request, {View(both).bytes}).parts(),
        {MutableBytes(both)});
    const absl::Status refused =
        client_->CallInto("Forward", Envelope(request, {View(x).bytes}).parts(),
                          {MutableBytes(small)});

    ASSERT_TRUE(in_place.ok()) << in_place;
    EXPECT_EQ(both, Forward("silu", x));
    EXPECT_EQ(refused.code(), absl::StatusCode::kInternal);
    EXPECT_EQ(small, std::vector<float>(999));
  }
}

TEST_F(LocalTest, ARepeatedEncodedCallCanBeCancelled) {
  const auto request = EncodedFor<v1::ForwardRequest>("silu", 10);
  const std::vector<float> x = Numbers(10);
  std::vector<float> y(10);
  const Envelope envelope(request, {View(x).bytes});
  Cancellation cancellation;
  CallOptions options;
  options.cancellation = &cancellation;
  const auto call = [&] {
    return client_->CallInto("Forward", envelope.parts(), {MutableBytes(y)},
                             options);
  };
  ASSERT_TRUE(call().ok());
  ASSERT_TRUE(call().ok());
  cancellation.Cancel();
  y.assign(10, 7);

  EXPECT_EQ(call().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(y, std::vector<float>(10, 7));
}

TEST_F(LocalTest, TellsOfItselfAsAServerDoes) {
  const auto info = client_->GetServerInfo();
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->devices(0).name(), "cpu");
  EXPECT_EQ(info->dtypes_size(), 4);
  const auto listed = client_->ListActivations();
  ASSERT_TRUE(listed.ok()) << listed.status();
  EXPECT_GT(listed->size(), 50);
  const auto gelu = client_->GetActivation("gelu");
  ASSERT_TRUE(gelu.ok()) << gelu.status();
  EXPECT_THAT(gelu->text(), HasSubstr("def gelu"));
}

TEST_F(LocalTest, ServesManyThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 20; ++i) {
        const std::vector<float> x = Numbers(i % 2 == 0 ? 1000 : 300'000, t);
        ExpectSilu(x, Forward("silu", x));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace actserve
