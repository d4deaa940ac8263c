// When a client sends a stream, and what becomes of one that breaks.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>

#include <cmath>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "client/cpp/message/envelope.h"
#include "client/cpp/raw_stub.h"
#include "client/cpp/stream/exchange.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;

constexpr size_t kMiB = size_t{1} << 20;

std::unique_ptr<testing::ServerProcess> StartServer(
    std::vector<std::string> flags = {}) {
  flags.insert(flags.begin(), {"--device=cpu", "--log_level=debug"});
  auto server = testing::ServerProcess::Start(
      testing::BinaryOfBuild(ACTSERVED_BINARY), flags);
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

// Calls of `method` that the server has answered with OK, as its log says.
int NumCalls(const testing::ServerProcess& server, const std::string& method) {
  int count = 0;
  for (const std::string& line : server.log()) {
    count +=
        absl::StrContains(line, absl::StrCat("\"method\":\"", method, "\"")) &&
        absl::StrContains(line, "\"code\":\"OK\"");
  }
  return count;
}

// The same once there are `least`, or after a while: the log is read by another
// thread.
int AwaitCalls(const testing::ServerProcess& server, const std::string& method,
               int least) {
  for (int i = 0; i < 1000 && NumCalls(server, method) < least; ++i) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  return NumCalls(server, method);
}

std::vector<float> Ramp(size_t size_bytes) {
  std::vector<float> x(size_bytes / sizeof(float));
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(i % 1000) - 500;
  }
  return x;
}

// Calls relu, and checks what it gives.
void ExpectRelu(Client& client, size_t size_bytes) {
  const std::vector<float> x = Ramp(size_bytes);
  std::vector<float> y(x.size(), -1);
  const absl::Status status =
      client.Forward("relu", {View(x)}, MutableBytes(y));
  ASSERT_TRUE(status.ok()) << status;
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], std::max(0.0F, x[i]));
}

TEST(Streams, AreSentFromASizeOn) {
  const auto server = StartServer();
  const auto client = *Client::Connect(server->tcp_address());
  ExpectRelu(*client, kMiB);
  ASSERT_TRUE(server->WaitForEvent("request"));
  EXPECT_EQ(NumCalls(*server, "ForwardStream"), 0);

  ExpectRelu(*client, 16 * kMiB);
  const std::vector<float> x = Ramp(16 * kMiB);
  std::vector<float> dx(x.size());
  BackwardCall call;
  call.activation = "leaky_relu";
  call.inputs = {View(x)};
  call.wrt = {{"x", MutableBytes(dx)}, {"negative_slope", {}}};
  const auto result = client->Backward(call);
  ASSERT_TRUE(result.ok()) << result.status();

  EXPECT_EQ(dx[0], 0.01F);
  EXPECT_EQ(dx[999], 1);
  // Of each thousand elements 500 are below 0, and their sum is -125250.
  double want = 0;
  for (const float each : x) want += std::min(0.0F, each);
  EXPECT_EQ(result->parameter_gradients.at("negative_slope"), want);
  EXPECT_EQ(result->device, "cpu");
  EXPECT_EQ(AwaitCalls(*server, "ForwardStream", 1), 1);
  EXPECT_EQ(AwaitCalls(*server, "BackwardStream", 1), 1);
}

// Which is what bindings of other languages send.
TEST(Streams, MayWriteOverTheirInputs) {
  const auto server = StartServer();
  const auto client = *Client::Connect(server->tcp_address());
  constexpr size_t kCount = 28 * kMiB / sizeof(float);
  // The result begins where chunks of the input lie that are not sent yet.
  for (const size_t place : {size_t{0}, 4 * kMiB / sizeof(float)}) {
    std::vector<float> memory(kCount + place);
    for (size_t i = 0; i < kCount; ++i) {
      memory[i] = static_cast<float>(i % 1000) - 500;
    }

    const absl::Status status =
        client->Forward("relu", {View({memory.data(), kCount})},
                        MutableBytes(memory).subspan(place * sizeof(float)));

    ASSERT_TRUE(status.ok()) << status;
    for (size_t i = 0; i < kCount; ++i) {
      const float x = static_cast<float>(i % 1000) - 500;
      ASSERT_EQ(memory[place + i], std::max(0.0F, x)) << place << " " << i;
    }
  }
}

TEST(Streams, CarryEncodedCalls) {
  const auto server = StartServer();
  const auto client = *Client::Connect(server->tcp_address());
  const std::vector<float> x = Ramp(16 * kMiB);
  std::vector<float> y(x.size());
  v1::ForwardRequest request;
  request.set_activation("relu");
  request.add_inputs()->set_dtype(v1::DTYPE_FLOAT32);
  request.mutable_inputs(0)->add_shape(static_cast<int64_t>(x.size()));
  const Envelope envelope(request, {View(x).bytes});

  const auto in_place =
      client->CallEncoded("Forward", envelope.parts(), {MutableBytes(y)});
  ASSERT_TRUE(in_place.ok()) << in_place.status();
  EXPECT_EQ(in_place->payloads[0].data(), MutableBytes(y).data());
  const auto elsewhere = client->CallEncoded("Forward", envelope.parts(), {});
  ASSERT_TRUE(elsewhere.ok()) << elsewhere.status();

  EXPECT_EQ(y[999], 499);
  EXPECT_EQ(elsewhere->payloads[0], MutableBytes(y));
  v1::ForwardResponse response;
  ASSERT_TRUE(response.ParseFromString(elsewhere->header));
  EXPECT_EQ(response.device(), "cpu");
  EXPECT_EQ(AwaitCalls(*server, "ForwardStream", 2), 2);
}

TEST(Streams, AreSentOverAUnixSocketWhereTheUnaryCallCannotBe) {
  const auto server = StartServer();
  const auto client =
      *Client::Connect(server->unix_address(), {.shared_memory = false});

  ExpectRelu(*client, 16 * kMiB);
  EXPECT_EQ(NumCalls(*server, "ForwardStream"), 0);
  ExpectRelu(*client, 100 * kMiB);
  EXPECT_EQ(AwaitCalls(*server, "ForwardStream", 1), 1);
}

TEST(Streams, AreSentWhereTheServersLimitIsSmaller) {
  const auto server = StartServer({"--max_message_bytes=2097152"});
  const auto client = *Client::Connect(server->tcp_address());

  ExpectRelu(*client, 4 * kMiB);

  EXPECT_EQ(AwaitCalls(*server, "ForwardStream", 1), 1);
  // A piece that is one tensor stays refused.
  const std::vector<float> x = Ramp(4 * kMiB);
  std::vector<float> y(x.size());
  CallOptions options;
  options.axis = 0;
  const absl::Status status =
      client->Forward("softmax", {View(x)}, MutableBytes(y), options);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("rows along axis 0"));
}

// One piece, whose tensors each way are within the limit, but not together.
TEST(Streams, TakeWhateverAUnaryCallTakes) {
  const auto server = StartServer();
  const auto client = *Client::Connect(server->tcp_address());
  constexpr int64_t kRows = 10, kColumns = 1 << 20;
  const std::vector<float> x(kRows * kColumns, 3);
  std::vector<float> y(x.size());
  CallOptions options;
  options.axis = 0;

  const absl::Status status = client->Forward(
      "softmax", {View(x, {kRows, kColumns})}, MutableBytes(y), options);

  ASSERT_TRUE(status.ok()) << status;
  EXPECT_NEAR(y[0], 0.1, 1e-6);
  EXPECT_EQ(y, std::vector<float>(y.size(), y[0]));
  EXPECT_EQ(AwaitCalls(*server, "ForwardStream", 1), 1);
}

// A stream leaves none.
TEST(Streams, AreNotSentForAResidual) {
  const auto server = StartServer();
  const auto client = *Client::Connect(server->tcp_address());
  const std::vector<float> x = Ramp(16 * kMiB);
  std::vector<float> y(x.size()), dx(x.size());
  ForwardCall call;
  call.activation = "relu";
  call.inputs = {View(x)};
  call.output = MutableBytes(y);
  call.keep_residual = true;
  const auto kept = client->ForwardWith(call);
  ASSERT_TRUE(kept.ok()) << kept.status();
  ASSERT_TRUE(kept->residual.has_value());

  BackwardCall backward;
  backward.activation = "relu";
  backward.residual = kept->residual->handle();
  backward.grad_output = View(x);
  backward.wrt = {{"x", MutableBytes(dx)}};
  ASSERT_TRUE(client->Backward(backward).ok());

  EXPECT_EQ(dx, y);
  EXPECT_EQ(NumCalls(*server, "ForwardStream"), 0);
  EXPECT_EQ(NumCalls(*server, "BackwardStream"), 0);
}

TEST(Streams, RegisterAgainWhatTheServerHasForgotten) {
  const auto server = StartServer({"--max_registered=1"});
  const auto client = *Client::Connect(server->tcp_address());
  const auto first = client->RegisterActivation("def f(x):\n    return -x\n");
  const auto second = client->RegisterActivation("def g(x):\n    return x\n");
  ASSERT_TRUE(first.ok() && second.ok());
  const std::vector<float> x = Ramp(16 * kMiB);
  std::vector<float> y(x.size());

  const absl::Status status =
      client->Forward(first->activation().id(), {View(x)}, MutableBytes(y));

  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(y[0], 500);
  EXPECT_EQ(AwaitCalls(*server, "ForwardStream", 1), 1);
}

TEST(Streams, GiveTheRequestBackWithWhateverEnd) {
  const auto server = StartServer();
  RawStub stub(MakeChannel(server->tcp_address()));
  constexpr size_t kBytes = 64 * kMiB;
  v1::ForwardRequest request;
  request.set_activation("relu");
  request.add_inputs()->set_dtype(v1::DTYPE_FLOAT32);
  request.mutable_inputs(0)->add_shape(kBytes / 4);
  std::vector<float> y(kBytes / 4);
  int num_expired = 0;
  for (int i = 0; i < 20; ++i) {
    // It faults, or breaks the connection, if it is read after its end.
    void* const x = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const ByteSpan bytes(static_cast<const std::byte*>(x), kBytes);
    const Envelope envelope(request, {bytes});
    StreamExchange exchange("Forward", *Split(envelope.parts()),
                            {MutableBytes(y)});
    Cancellation cancellation;
    std::thread canceller;
    const bool is_cancelled = i % 2 == 0;
    if (is_cancelled) {
      canceller = std::thread([&] {
        absl::SleepFor(absl::Milliseconds(i));
        cancellation.Cancel();
      });
    }
    const auto deadline =
        absl::Now() + (is_cancelled ? absl::Minutes(1) : absl::Milliseconds(i));
    const RawStub::Reply reply = stub.Stream("/actserve.v1.ActivationService/",
                                             exchange, deadline, &cancellation);

    EXPECT_EQ(stub.num_parts_on_loan(), 0);
    munmap(x, kBytes);
    if (canceller.joinable()) canceller.join();
    num_expired += !reply.status.ok();
  }
  EXPECT_GT(num_expired, 4);
  const auto client = *Client::Connect(server->tcp_address());
  ExpectRelu(*client, kMiB);
}

// On gRPC's threads and on the scheduler's; some are given up.
TEST(Streams, ManyAtATimeAreAllRight) {
  for (const char* inline_bytes : {"4194304", "0"}) {
    const auto server =
        StartServer({absl::StrCat("--inline_bytes=", inline_bytes)});
    const auto client = *Client::Connect(server->tcp_address());
    std::vector<std::thread> callers;
    for (int c = 0; c < 6; ++c) {
      callers.emplace_back([&, c] {
        const std::vector<float> x(3 * kMiB, static_cast<float>(c + 1));
        for (int i = 0; i < 8; ++i) {
          std::vector<float> y(x.size());
          const bool gives_up = i % 3 == 2;
          CallOptions options;
          if (gives_up) options.timeout = absl::Milliseconds(3 * c + 1);
          const absl::Status status =
              client->Forward("relu", {View(x)}, MutableBytes(y), options);
          if (gives_up && !status.ok()) {
            EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
            continue;
          }
          ASSERT_TRUE(status.ok()) << status;
          EXPECT_TRUE(y == x);
        }
      });
    }
    for (std::thread& caller : callers) caller.join();

    EXPECT_GE(AwaitCalls(*server, "ForwardStream", 6 * 5), 6 * 5);
    server->Signal(SIGTERM);
    EXPECT_EQ(server->Wait(), 0);
  }
}

TEST(Streams, GoToAnotherServerWhereOneIsLost) {
  auto lost = StartServer();
  const auto other = StartServer();
  const auto client = *Client::Connect(
      absl::StrCat(lost->tcp_address(), ",", other->tcp_address()));
  std::vector<std::thread> callers;
  for (int i = 0; i < 2; ++i) {
    callers.emplace_back([&] { ExpectRelu(*client, 400 * kMiB); });
  }
  absl::SleepFor(absl::Milliseconds(150));
  lost->Signal(SIGKILL);
  for (std::thread& caller : callers) caller.join();

  EXPECT_GE(AwaitCalls(*other, "ForwardStream", 1), 1);
}

}  // namespace
}  // namespace actserve
