#include "client/cpp/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/barrier.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "actserve/v1/status.pb.h"
#include "client/cpp/testing/fake_server.h"

namespace actserve {
namespace {

using ::actserve::testing::FakeServer;
using ::actserve::testing::StatusWithReason;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<Client> ConnectTo(const std::string& address) {
  Client::Options options;
  options.timeout = absl::Seconds(20);
  return *Client::Connect(address, options);
}

// Fails the first `num_failures` calls with `failure`, then answers as before.
template <typename Hook>
Hook FailFirst(int num_failures, grpc::Status failure, Hook then) {
  auto remaining = std::make_shared<std::atomic<int>>(num_failures);
  return
      [=](grpc::ServerContext* context, const auto& request, auto& response) {
        if ((*remaining)-- > 0) return failure;
        return then(context, request, response);
      };
}

TEST(Client, ForwardFillsTheCallersMemory) {
  FakeServer server;
  auto client = ConnectTo(server.address());
  const std::vector<float> x = {1, -2, 3};
  std::vector<float> y(3);

  const absl::Status status =
      client->Forward("relu", {View(x)}, MutableBytes(y));

  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(y, ElementsAre(-1, 2, -3));
}

TEST(Client, SizesThatArriveInManySlicesArriveWhole) {
  FakeServer server;
  auto client = ConnectTo(server.address());
  for (const size_t num_elements : {0, 1, 4095, 4096, 4097, 1 << 20, 5000001}) {
    SCOPED_TRACE(num_elements);
    std::vector<float> x(num_elements), y(num_elements), want(num_elements);
    for (size_t i = 0; i < num_elements; ++i) {
      x[i] = static_cast<float>(i);
      want[i] = -x[i];
    }

    const absl::Status status =
        client->Forward("relu", {View(x)}, MutableBytes(y));

    ASSERT_TRUE(status.ok()) << status;
    EXPECT_TRUE(y == want);
  }
}

TEST(Client, MetadataReachesAGeneratedServer) {
  FakeServer server;
  v1::ForwardRequest seen;
  server.forward = [&, then = server.forward](grpc::ServerContext* context,
                                              const v1::ForwardRequest& request,
                                              v1::ForwardResponse& response) {
    seen = request;
    return then(context, request, response);
  };
  auto client = ConnectTo(server.address());
  const std::vector<double> a(6, 1.5), b(6, 2.5);
  std::vector<double> y(6), da(6);
  ForwardCall call;
  call.activation = "snake";
  call.inputs = {View(a, {2, 3}), View(b, {2, 3})};
  call.output = MutableBytes(y);
  call.partials = {{"a", MutableBytes(da)}};
  call.keep_residual = true;
  call.residual_lease = absl::Milliseconds(1500);
  call.options.parameters = {{"alpha", 0.5}};

  const auto result = client->ForwardWith(call);

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(seen.activation(), "snake");
  EXPECT_EQ(seen.inputs(1).dtype(), v1::DTYPE_FLOAT64);
  EXPECT_THAT(seen.inputs(1).shape(), ElementsAre(2, 3));
  EXPECT_EQ(seen.parameters(0).name(), "alpha");
  EXPECT_EQ(seen.parameters(0).scalar(), 0.5);
  EXPECT_TRUE(seen.keep_residual());
  EXPECT_EQ(seen.residual_lease().seconds(), 1);
  EXPECT_EQ(seen.residual_lease().nanos(), 500000000);
  EXPECT_EQ(seen.payload_size(), 2);
  EXPECT_EQ(seen.payload(1).size(), 48u);
  EXPECT_EQ(result->residual->handle(), "0123456789abcdef");
  EXPECT_EQ(result->device, "fake");
  EXPECT_EQ(da, a);
}

TEST(Client, BackwardReturnsTensorsAndNumbers) {
  FakeServer server;
  auto client = ConnectTo(server.address());
  const std::vector<float> x = {1, 2}, dy = {3, 4};
  std::vector<float> dx(2);
  BackwardCall call;
  call.activation = "swish";
  call.inputs = {View(x)};
  call.grad_output = View(dy);
  call.wrt = {{"beta", {}}, {"x", MutableBytes(dx)}};

  const auto result = client->Backward(call);

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(dx, ElementsAre(3, 4));
  EXPECT_EQ(result->parameter_gradients.at("beta"), 0.25);
}

TEST(Client, SmallCallsReachTheServer) {
  FakeServer server;
  auto client = ConnectTo(server.address());

  EXPECT_EQ(client->GetActivation("gelu")->name(), "gelu");
  EXPECT_EQ(client->ListActivations()->size(), 2u);
  EXPECT_EQ(*client->ReleaseResiduals({"a", "b"}), 2);
  EXPECT_EQ(client->GetServerInfo()->version(), "fake");
  EXPECT_TRUE(client->Health().ok());
}

TEST(Client, ListsPageByPage) {
  FakeServer server;
  auto client = ConnectTo(server.address());

  const auto bare = client->ListActivations();
  const auto full = client->ListActivations({.with_texts = true});

  ASSERT_TRUE(bare.ok() && full.ok());
  ASSERT_EQ(bare->size(), 2u);
  EXPECT_EQ((*bare)[0].name(), "gelu");
  EXPECT_EQ((*bare)[1].name(), "relu");
  EXPECT_EQ((*bare)[1].text(), "");
  EXPECT_EQ((*full)[1].text(), "def ...");
}

TEST(Client, ReleasesManyResidualsInSeveralCalls) {
  FakeServer server;
  auto client = ConnectTo(server.address());
  const std::vector<std::string> handles(2500, std::string(16, 'h'));

  EXPECT_EQ(*client->ReleaseResiduals(handles), 2500);
  EXPECT_EQ(*client->ReleaseResiduals({}), 0);
}

TEST(Client, UnixSocketIsAnAddress) {
  const std::string path = ::testing::TempDir() + "/client_test.sock";
  FakeServer server(path);
  auto client = ConnectTo("unix:" + path);

  EXPECT_TRUE(client->Health().ok());
}

TEST(Client, RefusesWhatDoesNotFitWithoutSendingIt) {
  FakeServer server;
  auto client = ConnectTo(server.address());
  const std::vector<float> x(6);
  std::vector<float> y(6), small(5);
  struct Case {
    const char* name;
    std::vector<TensorView> inputs;
    std::vector<float>* output;
    const char* message;
  };
  const Case cases[] = {
      {"none", {}, &y, "no inputs"},
      {"dtype",
       {{v1::DTYPE_UNSPECIFIED, {6}, View(x).bytes}},
       &y,
       "input 0 has no dtype"},
      {"shape",
       {View(x, {2, 2})},
       &y,
       "input 0: 24 bytes do not match shape [2, 2] of 4-byte elements"},
      {"negative",
       {View(x, {-2, -3})},
       &y,
       "input 0: shape [-2, -3]: a dimension is negative"},
      {"overflow", {View(x, {int64_t{1} << 62, 16})}, &y, "do not match shape"},
      {"room",
       {View(x)},
       &small,
       "room for the output: 20 bytes, but it has 24"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);

    const absl::Status status =
        client->Forward("relu", c.inputs, MutableBytes(*c.output));

    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message));
  }
  EXPECT_EQ(server.num_forward, 0);
}

// Refuses the first `num_failures` calls, asking for a pause of 1 ms.
template <typename Hook>
Hook PushBackFirst(int num_failures, grpc::StatusCode code, Hook then) {
  auto remaining = std::make_shared<std::atomic<int>>(num_failures);
  return
      [=](grpc::ServerContext* context, const auto& request, auto& response) {
        if ((*remaining)-- <= 0) return then(context, request, response);
        context->AddTrailingMetadata("grpc-retry-pushback-ms", "1");
        return grpc::Status(code, "come back");
      };
}

TEST(Client, RepeatsWhatAServerThatEndsCouldNotTake) {
  FakeServer server;
  server.forward =
      FailFirst(1, grpc::Status(grpc::UNAVAILABLE, "draining"), server.forward);
  auto client = ConnectTo(server.address());
  const std::vector<float> x = {1};
  std::vector<float> y(1);

  EXPECT_TRUE(client->Forward("relu", {View(x)}, MutableBytes(y)).ok());

  EXPECT_EQ(server.num_forward, 2);
}

TEST(Client, ComesBackToAFullQueueWhenItIsTold) {
  FakeServer server;
  server.forward =
      PushBackFirst(kMaxAttempts - 1, grpc::RESOURCE_EXHAUSTED, server.forward);
  auto client = ConnectTo(server.address());
  const std::vector<float> x = {1};
  std::vector<float> y(1);
  const absl::Time start = absl::Now();

  EXPECT_TRUE(client->Forward("relu", {View(x)}, MutableBytes(y)).ok());

  EXPECT_EQ(server.num_forward, kMaxAttempts);
  // The pauses of its own would take 5 s.
  EXPECT_LT(absl::Now() - start, absl::Seconds(3));
}

TEST(Client, AFullQueueThatNamesNoPauseIsNotRepeated) {
  FakeServer server;
  server.forward = FailFirst(
      1, grpc::Status(grpc::RESOURCE_EXHAUSTED, "too large"), server.forward);
  auto client = ConnectTo(server.address());
  const std::vector<float> x = {1};
  std::vector<float> y(1);

  EXPECT_EQ(client->Forward("relu", {View(x)}, MutableBytes(y)),
            absl::ResourceExhaustedError("too large"));

  EXPECT_EQ(server.num_forward, 1);
}

TEST(Client, RepeatsWhatNobodyAnswered) {
  for (const grpc::StatusCode code :
       {grpc::CANCELLED, grpc::INTERNAL, grpc::UNKNOWN,
        grpc::RESOURCE_EXHAUSTED}) {
    SCOPED_TRACE(code);
    FakeServer server;
    server.marks_errors = false;
    server.forward =
        FailFirst(1, grpc::Status(code, "Stream removed"), server.forward);
    auto client = ConnectTo(server.address());
    const std::vector<float> x = {1};
    std::vector<float> y(1);

    EXPECT_TRUE(client->Forward("relu", {View(x)}, MutableBytes(y)).ok());

    EXPECT_EQ(server.num_forward, 2);
  }
}

// gRPC of the server refuses it and sets no trailer.
TEST(Client, AMessageOverTheLimitIsNotRepeated) {
  FakeServer server;
  server.marks_errors = false;
  const std::string message = "Received message larger than max (9 vs. 8)";
  server.forward = FailFirst(1, grpc::Status(grpc::RESOURCE_EXHAUSTED, message),
                             server.forward);
  auto client = ConnectTo(server.address());
  const std::vector<float> x = {1};
  std::vector<float> y(1);

  EXPECT_EQ(client->Forward("relu", {View(x)}, MutableBytes(y)),
            absl::ResourceExhaustedError(message));

  EXPECT_EQ(server.num_forward, 1);
}

TEST(Client, GivesUpAfterItsAttempts) {
  for (const grpc::StatusCode code :
       {grpc::UNAVAILABLE, grpc::RESOURCE_EXHAUSTED}) {
    for (const int max_attempts : {1, 3, kMaxAttempts}) {
      SCOPED_TRACE(max_attempts);
      FakeServer server;
      server.forward = PushBackFirst(1000, code, server.forward);
      Client::Options options;
      options.max_attempts = max_attempts;
      auto client = *Client::Connect(server.address(), options);
      const std::vector<float> x = {1};
      std::vector<float> y(1);

      const absl::Status status =
          client->Forward("relu", {View(x)}, MutableBytes(y));

      EXPECT_EQ(status,
                absl::Status(static_cast<absl::StatusCode>(code), "come back"));
      EXPECT_EQ(server.num_forward, max_attempts);
    }
  }
}

TEST(Client, APauseBeyondTheTimeoutIsNotBegun) {
  FakeServer server;
  server.forward = [](grpc::ServerContext* context, const v1::ForwardRequest&,
                      v1::ForwardResponse&) {
    context->AddTrailingMetadata("grpc-retry-pushback-ms", "60000");
    return grpc::Status(grpc::RESOURCE_EXHAUSTED, "queue is full");
  };
  auto client = ConnectTo(server.address());
  const std::vector<float> x = {1};
  std::vector<float> y(1);
  const absl::Time start = absl::Now();

  EXPECT_EQ(client->Forward("relu", {View(x)}, MutableBytes(y)),
            absl::ResourceExhaustedError("queue is full"));

  EXPECT_EQ(server.num_forward, 1);
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

TEST(Client, DoesNotRepeatTheServersOwnErrors) {
  for (const grpc::StatusCode code :
       {grpc::CANCELLED, grpc::INTERNAL, grpc::UNKNOWN, grpc::DEADLINE_EXCEEDED,
        grpc::INVALID_ARGUMENT}) {
    SCOPED_TRACE(code);
    FakeServer server;
    server.forward =
        FailFirst(1, grpc::Status(code, "a defect"), server.forward);
    auto client = ConnectTo(server.address());
    const std::vector<float> x = {1};
    std::vector<float> y(1);

    EXPECT_EQ(client->Forward("relu", {View(x)}, MutableBytes(y)),
              absl::Status(static_cast<absl::StatusCode>(code), "a defect"));

    EXPECT_EQ(server.num_forward, 1);
  }
}

TEST(Client, HealthIsAskedOnce) {
  std::string address;
  {
    FakeServer server;
    address = server.address();
  }
  auto client = ConnectTo(address);
  const absl::Time start = absl::Now();

  EXPECT_EQ(client->Health().code(), absl::StatusCode::kUnavailable);

  EXPECT_LT(absl::Now() - start, absl::Seconds(3));
}

TEST(Client, RegistersAgainWhereTheServerForgot) {
  FakeServer server;
  server.forward =
      FailFirst(1,
                StatusWithReason(grpc::NOT_FOUND, "no such activation",
                                 "ACTIVATION_UNKNOWN"),
                server.forward);
  auto client = ConnectTo(server.address());
  const auto registered = client->RegisterActivation("def f(x):\n  return x\n");
  ASSERT_TRUE(registered.ok()) << registered.status();
  const std::vector<float> x = {1};
  std::vector<float> y(1);

  const absl::Status status = client->Forward(registered->activation().id(),
                                              {View(x)}, MutableBytes(y));

  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(server.num_register_activation, 2);
  EXPECT_EQ(server.num_forward, 2);
}

// A server that restarted twice within one call failed it.
TEST(Client, RegistersAgainAsOftenAsTheServerForgets) {
  FakeServer server;
  const auto unknown = StatusWithReason(grpc::NOT_FOUND, "no such activation",
                                        "ACTIVATION_UNKNOWN");
  server.forward = FailFirst(3, unknown, server.forward);
  auto client = ConnectTo(server.address());
  ASSERT_TRUE(client->RegisterActivation("def f(x):\n  return x\n").ok());
  const std::vector<float> x = {1};
  std::vector<float> y(1);

  EXPECT_TRUE(client->Forward("sha256:1", {View(x)}, MutableBytes(y)).ok());

  EXPECT_EQ(server.num_register_activation, 4);
  EXPECT_EQ(server.num_forward, 4);
}

TEST(Client, RegistersAgainAtMostAsOftenAsItTries) {
  for (const int max_attempts : {1, 3}) {
    SCOPED_TRACE(max_attempts);
    FakeServer server;
    server.forward =
        FailFirst(1000,
                  StatusWithReason(grpc::NOT_FOUND, "no such activation",
                                   "ACTIVATION_UNKNOWN"),
                  server.forward);
    Client::Options options;
    options.max_attempts = max_attempts;
    auto client = *Client::Connect(server.address(), options);
    ASSERT_TRUE(client->RegisterActivation("def f(x):\n  return x\n").ok());
    const std::vector<float> x = {1};
    std::vector<float> y(1);

    const absl::Status status =
        client->Forward("sha256:1", {View(x)}, MutableBytes(y));

    EXPECT_EQ(ErrorReason(status), kActivationUnknown);
    EXPECT_EQ(server.num_register_activation, 1 + max_attempts);
    EXPECT_EQ(server.num_forward, 1 + max_attempts);
  }
}

TEST(Client, AdoptsTheIdThatAServerReturns) {
  FakeServer server;
  server.register_activation =
      [n = 0](grpc::ServerContext*, const v1::RegisterActivationRequest&,
              v1::RegisterActivationResponse& response) mutable {
        response.mutable_activation()->set_id("sha256:" + std::to_string(++n));
        return grpc::Status::OK;
      };
  server.forward = [then = server.forward](grpc::ServerContext* context,
                                           const v1::ForwardRequest& request,
                                           v1::ForwardResponse& response) {
    if (request.activation() == "sha256:2") {
      return then(context, request, response);
    }
    return StatusWithReason(grpc::NOT_FOUND, "no such activation",
                            "ACTIVATION_UNKNOWN");
  };
  auto client = ConnectTo(server.address());
  ASSERT_TRUE(client->RegisterActivation("def f(x):\n  return x\n").ok());
  const std::vector<float> x = {1};
  std::vector<float> y(1);

  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(client->Forward("sha256:1", {View(x)}, MutableBytes(y)).ok());
  }

  EXPECT_EQ(server.num_register_activation, 2);
  EXPECT_EQ(server.num_forward, 4);
}

TEST(Client, SendsTheInputsWhereAResidualIsGone) {
  FakeServer server;
  std::vector<v1::BackwardRequest> seen;
  server.backward = [&, then = server.backward](
                        grpc::ServerContext* context,
                        const v1::BackwardRequest& request,
                        v1::BackwardResponse& response) {
    seen.push_back(request);
    if (!request.residual().empty()) {
      return StatusWithReason(grpc::NOT_FOUND, "residual is gone",
                              "RESIDUAL_GONE");
    }
    return then(context, request, response);
  };
  auto client = ConnectTo(server.address());
  const std::vector<float> x = {1, 2}, dy = {3, 4};
  std::vector<float> dx(2);
  BackwardCall call;
  call.activation = "swish";
  call.residual = "0123456789abcdef";
  call.inputs = {View(x)};
  call.grad_output = View(dy);
  call.wrt = {{"x", MutableBytes(dx)}};
  call.options.parameters = {{"beta", 2}};

  const auto result = client->Backward(call);

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(dx, ElementsAre(3, 4));
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].inputs_size(), 0);
  EXPECT_EQ(seen[0].parameters_size(), 0);
  EXPECT_EQ(seen[0].payload_size(), 1);
  EXPECT_EQ(seen[1].residual(), "");
  EXPECT_EQ(seen[1].inputs_size(), 1);
  EXPECT_EQ(seen[1].parameters_size(), 1);
  EXPECT_EQ(seen[1].payload(0).size(), 8u);
}

// Of which the tensors follow grad_output, with the residual and without.
TEST(Client, ACallOfSecondOrderKeepsItsCotangentsWhereAResidualIsGone) {
  FakeServer server;
  std::vector<v1::BackwardRequest> seen;
  server.backward = [&, then = server.backward](
                        grpc::ServerContext* context,
                        const v1::BackwardRequest& request,
                        v1::BackwardResponse& response) {
    seen.push_back(request);
    if (!request.residual().empty()) {
      return StatusWithReason(grpc::NOT_FOUND, "residual is gone",
                              "RESIDUAL_GONE");
    }
    for (const std::string& name : request.wrt()) {
      v1::Gradient& gradient = *response.add_gradients();
      gradient.set_name(name);
      *gradient.mutable_tensor() = request.inputs(0);
      response.add_payload(request.payload(name == "x" ? 1 : 2));
    }
    return grpc::Status::OK;
  };
  auto client = ConnectTo(server.address());
  const std::vector<float> x = {1, 2}, dy = {3, 4}, v = {5, 6};
  std::vector<float> of_x(2), of_dy(2);
  BackwardCall call;
  call.activation = "swish";
  call.residual = "0123456789abcdef";
  call.inputs = {View(x)};
  call.grad_output = View(dy);
  call.order = 2;
  call.cotangents = {{"beta", {}, 0.5}, {"x", View(v)}};
  call.wrt = {{kGradOutputName, MutableBytes(of_dy)},
              {"x", MutableBytes(of_x)}};

  const auto result = client->Backward(call);

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(of_x, ElementsAre(3, 4));
  EXPECT_THAT(of_dy, ElementsAre(5, 6));
  ASSERT_EQ(seen.size(), 2u);
  for (const v1::BackwardRequest& request : seen) {
    EXPECT_EQ(request.order(), 2);
    EXPECT_THAT(request.wrt(), ElementsAre("dL/dy", "x"));
    ASSERT_EQ(request.cotangents_size(), 2);
    EXPECT_EQ(request.cotangents(0).name(), "beta");
    EXPECT_EQ(request.cotangents(0).scalar(), 0.5);
    EXPECT_THAT(request.cotangents(1).tensor().shape(), ElementsAre(2));
  }
  EXPECT_EQ(seen[0].payload_size(), 2);
  EXPECT_EQ(seen[1].payload_size(), 3);
}

TEST(Client, ATangentComesAfterTheOutput) {
  FakeServer server;
  server.forward = [](grpc::ServerContext*, const v1::ForwardRequest& request,
                      v1::ForwardResponse& response) {
    EXPECT_EQ(request.tangents(0).name(), "x");
    EXPECT_EQ(request.tangents(1).scalar(), 7);
    *response.mutable_output() = request.inputs(0);
    *response.mutable_tangent() = request.tangents(0).tensor();
    *response.mutable_payload() = request.payload();
    return grpc::Status::OK;
  };
  auto client = ConnectTo(server.address());
  const std::vector<float> x = {1, 2}, dx = {3, 4};
  std::vector<float> y(2), tangent(2);
  ForwardCall call;
  call.activation = "swish";
  call.inputs = {View(x)};
  call.output = MutableBytes(y);
  call.tangents = {{"x", View(dx)}, {"beta", {}, 7}};
  EXPECT_EQ(client->ForwardWith(call).status().message(),
            "room for the tangent: 0 bytes, but it has 8");
  call.tangent = MutableBytes(tangent);

  const auto result = client->ForwardWith(call);

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(y, ElementsAre(1, 2));
  EXPECT_THAT(tangent, ElementsAre(3, 4));
}

// A restart loses the residual, the next one the activation.
TEST(Client, TwoRestartsWithinABackwardLoseNothing) {
  FakeServer server;
  const auto unknown = StatusWithReason(grpc::NOT_FOUND, "no such activation",
                                        "ACTIVATION_UNKNOWN");
  std::vector<grpc::Status> failures = {
      unknown,
      StatusWithReason(grpc::NOT_FOUND, "residual is gone", "RESIDUAL_GONE"),
      unknown, unknown};
  server.backward = [&, then = server.backward](
                        grpc::ServerContext* context,
                        const v1::BackwardRequest& request,
                        v1::BackwardResponse& response) {
    if (failures.empty()) return then(context, request, response);
    const grpc::Status failure = failures.front();
    failures.erase(failures.begin());
    return failure;
  };
  auto client = ConnectTo(server.address());
  ASSERT_TRUE(client->RegisterActivation("def f(x):\n  return x\n").ok());
  const std::vector<float> x = {1, 2};
  std::vector<float> dx(2);
  BackwardCall call;
  call.activation = "sha256:1";
  call.residual = "0123456789abcdef";
  call.inputs = {View(x)};
  call.wrt = {{"x", MutableBytes(dx)}};

  const auto result = client->Backward(call);

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(dx, x);
  EXPECT_EQ(server.num_backward, 5);
  EXPECT_EQ(server.num_register_activation, 4);
}

TEST(Client, WithoutInputsALostResidualIsTheCallersToHandle) {
  FakeServer server;
  server.backward = FailFirst(
      1000,
      StatusWithReason(grpc::NOT_FOUND, "residual is gone", "RESIDUAL_GONE"),
      server.backward);
  auto client = ConnectTo(server.address());
  std::vector<float> dx(2);
  BackwardCall call;
  call.residual = "0123456789abcdef";
  call.wrt = {{"x", MutableBytes(dx)}};

  const auto result = client->Backward(call);

  EXPECT_EQ(ErrorReason(result.status()), kResidualGone);
  EXPECT_EQ(server.num_backward, 1);
}

TEST(Client, DiagnosticsOfARefusedTextAreStructured) {
  FakeServer server;
  server.register_activation = [](grpc::ServerContext*,
                                  const v1::RegisterActivationRequest&,
                                  v1::RegisterActivationResponse&) {
    v1::Diagnostics diagnostics;
    auto* diagnostic = diagnostics.add_diagnostics();
    diagnostic->set_line(2);
    diagnostic->set_column(10);
    diagnostic->set_message("unknown name `y`");
    v1::Status status;
    auto* detail = status.add_details();
    detail->set_type_url("type.googleapis.com/actserve.v1.Diagnostics");
    detail->set_value(diagnostics.SerializeAsString());
    return grpc::Status(grpc::INVALID_ARGUMENT, "2:10: error: unknown name `y`",
                        status.SerializeAsString());
  };
  auto client = ConnectTo(server.address());

  const auto result = client->RegisterActivation("def f(x):\n  return y\n");

  const auto diagnostics = ErrorDiagnostics(result.status());
  ASSERT_EQ(diagnostics.size(), 1u);
  EXPECT_EQ(diagnostics[0].column(), 10);
  EXPECT_EQ(result.status().message(), "2:10: error: unknown name `y`");
}

TEST(Client, AReplyOfAnotherSizeIsInternalAndWritesNothing) {
  FakeServer server;
  server.forward = [](grpc::ServerContext*, const v1::ForwardRequest&,
                      v1::ForwardResponse& response) {
    response.add_payload("123");
    return grpc::Status::OK;
  };
  auto client = ConnectTo(server.address());
  const std::vector<float> x = {1};
  std::vector<float> y = {7};

  EXPECT_EQ(client->Forward("relu", {View(x)}, MutableBytes(y)),
            absl::InternalError("malformed reply: payload 0 has 3 bytes, there "
                                "is room for 4"));

  EXPECT_EQ(y[0], 7);
}

TEST(Client, TimeoutCoversTheWholeCall) {
  FakeServer server;
  server.forward = [](grpc::ServerContext* context, const v1::ForwardRequest&,
                      v1::ForwardResponse&) {
    while (!context->IsCancelled()) std::this_thread::yield();
    return grpc::Status::CANCELLED;
  };
  auto client = ConnectTo(server.address());
  const std::vector<float> x = {1};
  std::vector<float> y(1);
  CallOptions options;
  options.timeout = absl::Milliseconds(20);

  const absl::Status status =
      client->Forward("relu", {View(x)}, MutableBytes(y), options);

  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(Client, AVeryLongTimeoutIsNoError) {
  FakeServer server;
  const std::vector<float> x = {1};
  std::vector<float> y(1);
  for (const absl::Duration timeout :
       {absl::InfiniteDuration(), absl::Seconds(1e12), absl::Seconds(7.4e9)}) {
    SCOPED_TRACE(absl::FormatDuration(timeout));
    Client::Options options;
    options.timeout = timeout;
    auto client = Client::Connect(server.address(), options);
    ASSERT_TRUE(client.ok()) << client.status();

    const absl::Status status =
        (*client)->Forward("relu", {View(x)}, MutableBytes(y));

    EXPECT_TRUE(status.ok()) << status;
  }
}

// Trainers behind a proxy set http_proxy for everything.
TEST(Client, UsesNoProxyOnThisMachine) {
  FakeServer server;
  const std::string port =
      server.address().substr(server.address().rfind(':') + 1);
  const std::vector<float> x = {1};
  std::vector<float> y(1);
  setenv("http_proxy", "http://127.0.0.1:9", 1);
  setenv("grpc_proxy", "http://127.0.0.1:9", 1);
  // Names too would do, but c-ares leaks a few bytes when it looks them up.
  for (const char* host : {"127.0.0.1:", "ipv4:127.0.0.1:"}) {
    SCOPED_TRACE(host);
    auto client = ConnectTo(absl::StrCat(host, port));

    const absl::Status status =
        client->Forward("relu", {View(x)}, MutableBytes(y));

    EXPECT_TRUE(status.ok()) << status;
  }
  unsetenv("http_proxy");
  unsetenv("grpc_proxy");
}

TEST(Client, ConnectRefusesWhatIsNoAddress) {
  const auto client = Client::Connect("http://127.0.0.1:1");

  EXPECT_EQ(client.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(client.status().message(), HasSubstr("write 127.0.0.1:1"));
}

TEST(Client, CancelEndsARunningCall) {
  FakeServer server;
  absl::Notification started;
  server.forward = [&](grpc::ServerContext* context, const v1::ForwardRequest&,
                       v1::ForwardResponse&) {
    started.Notify();
    while (!context->IsCancelled()) std::this_thread::yield();
    return grpc::Status::CANCELLED;
  };
  auto client = ConnectTo(server.address());
  const std::vector<float> x = {1};
  std::vector<float> y(1);
  Cancellation cancellation;
  CallOptions options;
  options.cancellation = &cancellation;
  std::thread canceller([&] {
    started.WaitForNotification();
    cancellation.Cancel();
  });

  const absl::Status status =
      client->Forward("relu", {View(x)}, MutableBytes(y), options);

  canceller.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
}

TEST(Client, CancelEndsAPauseBetweenTries) {
  FakeServer server;
  Cancellation cancellation;
  server.forward = [&](grpc::ServerContext* context, const v1::ForwardRequest&,
                       v1::ForwardResponse&) {
    context->AddTrailingMetadata("grpc-retry-pushback-ms", "15000");
    cancellation.Cancel();
    return grpc::Status(grpc::RESOURCE_EXHAUSTED, "queue is full");
  };
  auto client = ConnectTo(server.address());
  const std::vector<float> x = {1};
  std::vector<float> y(1);
  CallOptions options;
  options.cancellation = &cancellation;
  const absl::Time start = absl::Now();

  const absl::Status status =
      client->Forward("relu", {View(x)}, MutableBytes(y), options);

  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

TEST(Client, AfterCancelNothingIsSent) {
  FakeServer server;
  auto client = ConnectTo(server.address());
  const std::vector<float> x = {1};
  std::vector<float> y(1);
  Cancellation cancellation;
  cancellation.Cancel();
  CallOptions options;
  options.cancellation = &cancellation;

  const absl::Status status =
      client->Forward("relu", {View(x)}, MutableBytes(y), options);

  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(server.num_forward, 0);
}

TEST(Client, ManyThreadsShareOne) {
  FakeServer server;
  auto client = ConnectTo(server.address());
  std::vector<std::thread> threads;
  std::atomic<int> num_right = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const std::vector<float> x(5000, static_cast<float>(t * 100 + i));
        std::vector<float> y(5000);
        const bool ok =
            client->Forward("relu", {View(x)}, MutableBytes(y)).ok();
        num_right += ok && y == std::vector<float>(5000, -x[0]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(num_right, 160);
}

TEST(Client, RefusesOptionsOutOfRange) {
  Client::Options options;
  options.max_attempts = 0;

  EXPECT_EQ(Client::Connect("127.0.0.1:1", options).status(),
            absl::InvalidArgumentError("max_attempts 0 is less than 1"));
  options.max_attempts = 1;
  options.channels = 65;
  EXPECT_EQ(Client::Connect("127.0.0.1:1", options).status(),
            absl::InvalidArgumentError("channels 65, must be from 1 to 64"));
}

TEST(Client, SharesItsCallsOverItsChannels) {
  for (const int channels : {1, 4}) {
    FakeServer server;
    std::mutex mutex;
    std::set<std::string> peers;
    absl::Barrier* const arrived = new absl::Barrier(4);
    const auto answer = server.forward;
    server.forward = [&](grpc::ServerContext* context, const auto& request,
                         auto& response) {
      {
        const std::lock_guard<std::mutex> lock(mutex);
        peers.insert(context->peer());
      }
      // All are here at a time.
      if (arrived->Block()) delete arrived;
      return answer(context, request, response);
    };
    Client::Options options;
    options.channels = channels;
    const auto client = *Client::Connect(server.address(), options);
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i) {
      callers.emplace_back([&] {
        const std::vector<float> x = {1};
        std::vector<float> y(1);
        EXPECT_TRUE(client->Forward("relu", {View(x)}, MutableBytes(y)).ok());
      });
    }
    for (std::thread& caller : callers) caller.join();

    EXPECT_EQ(peers.size(), channels);
  }
}

TEST(Client, PassesOnItsCallersTrace) {
  FakeServer server;
  auto client = ConnectTo(server.address());
  std::vector<std::string> seen;
  const auto note = [&](grpc::ServerContext* context) {
    for (const char* name : {"traceparent", "tracestate"}) {
      const auto found = context->client_metadata().find(name);
      if (found == context->client_metadata().end()) continue;
      seen.emplace_back(found->second.data(), found->second.size());
    }
  };
  server.forward = [&](grpc::ServerContext* context, const auto& request,
                       auto& response) {
    note(context);
    *response.mutable_output() = request.inputs(0);
    response.add_payload(request.payload(0));
    return grpc::Status::OK;
  };
  const std::vector<float> x = {1};
  std::vector<float> y(1);
  CallOptions options;
  const auto forward = [&] {
    return client->Forward("relu", {View(x)}, MutableBytes(y), options);
  };
  EXPECT_TRUE(forward().ok());
  EXPECT_TRUE(seen.empty());

  options.traceparent =
      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  options.tracestate = "vendor=x";
  EXPECT_TRUE(forward().ok());
  EXPECT_THAT(seen, ElementsAre(options.traceparent, options.tracestate));

  options.traceparent = "a\nb";
  EXPECT_EQ(forward().message(), "traceparent: byte 10 is not printable ASCII");
}

}  // namespace
}  // namespace actserve
