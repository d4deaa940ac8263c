// Every RPC of a real server process, called with generated code.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "grpc/health/v1/health.grpc.pb.h"
#include "server/end_to_end/server_test.h"

namespace actserve::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kSpiky[] =
    "def spiky(x):\n"
    "    r = x % 1\n"
    "    if r <= 0.5:\n"
    "        return r\n"
    "    else:\n"
    "        return 0\n";
const std::vector<float> kSpikyX = {0.2f, 0.7f, 1.2f, 1.7f};

class Integration : public ServerTest {};

TEST_F(Integration, ServesSpikyAndItsGradient) {
  const std::string id = IdOf(kSpiky);

  v1::ForwardResponse y;
  v1::BackwardResponse dx;
  ASSERT_TRUE(Forward(*stub_, ForwardOf(id, kSpikyX), &y).ok());
  ASSERT_TRUE(Backward(*stub_, BackwardOf(id, kSpikyX, {}), &dx).ok());

  EXPECT_THAT(ElementsOf<float>(y.payload(0)),
              ElementsAre(0.2f, 0.0f, 0.20000005f, 0.0f));
  EXPECT_THAT(ElementsOf<float>(dx.payload(0)), ElementsAre(1, 0, 1, 0));
}

TEST_F(Integration, ForwardDescribesItsAnswer) {
  v1::ForwardRequest request = ForwardOf("relu", {1, -2, 3, -4, 5, -6});
  *request.mutable_inputs(0) = TensorOf(v1::DTYPE_FLOAT32, {2, 3});

  v1::ForwardResponse response;
  ASSERT_TRUE(Forward(*stub_, request, &response).ok());

  EXPECT_EQ(response.output().dtype(), v1::DTYPE_FLOAT32);
  EXPECT_THAT(response.output().shape(), ElementsAre(2, 3));
  EXPECT_EQ(response.payload_size(), 1);
  EXPECT_EQ(response.activation_id().substr(0, 7), "sha256:");
  EXPECT_EQ(response.program_id().substr(0, 7), "sha256:");
  EXPECT_EQ(response.device(), "cpu");
  EXPECT_TRUE(response.timings().has_compute());
  EXPECT_TRUE(response.timings().has_other());
  EXPECT_FALSE(response.has_residual());
}

// The second of two equal calls takes a shorter way through the server.
TEST_F(Integration, AnswersARepeatedCallAsTheFirst) {
  const std::string id = IdOf("def f(x, y):\n    return x * y\n");
  v1::BackwardRequest request = BackwardOf(id, {1, 2}, {5, 7});
  request.clear_payload();
  request.add_inputs()->CopyFrom(request.inputs(0));
  for (const char* name : {"y", "x"}) request.add_wrt(name);
  v1::BackwardResponse responses[3];
  for (float scale : {1, 10, 100}) {
    request.clear_payload();
    request.add_payload(BytesOf<float>({scale, 2 * scale}));
    request.add_payload(BytesOf<float>({3, 4}));
    request.add_payload(BytesOf<float>({1, -1}));
    const int i = scale == 1 ? 0 : scale == 10 ? 1 : 2;
    ASSERT_TRUE(Backward(*stub_, request, &responses[i]).ok());
    EXPECT_THAT(ElementsOf<float>(responses[i].payload(0)),
                ElementsAre(scale, -2 * scale));
    EXPECT_THAT(ElementsOf<float>(responses[i].payload(1)), ElementsAre(3, -4));
    EXPECT_TRUE(responses[i].timings().has_compute());
    responses[i].clear_payload();
    responses[i].clear_timings();
  }
  EXPECT_EQ(responses[0].SerializeAsString(), responses[1].SerializeAsString());
  EXPECT_EQ(responses[1].SerializeAsString(), responses[2].SerializeAsString());

  request.mutable_payload(1)->pop_back();
  v1::BackwardResponse refused;
  const grpc::Status status = Backward(*stub_, request, &refused);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("7 bytes"));
}

TEST_F(Integration, ServesEveryDtype) {
  struct Case {
    v1::DType dtype;
    std::string x;   // -1, 2
    std::string y;   // 0, 2
    std::string dx;  // 0, 1
  };
  const Case cases[] = {
      {v1::DTYPE_FLOAT16, BytesOf<uint16_t>({0xBC00, 0x4000}),
       BytesOf<uint16_t>({0, 0x4000}), BytesOf<uint16_t>({0, 0x3C00})},
      {v1::DTYPE_BFLOAT16, BytesOf<uint16_t>({0xBF80, 0x4000}),
       BytesOf<uint16_t>({0, 0x4000}), BytesOf<uint16_t>({0, 0x3F80})},
      {v1::DTYPE_FLOAT32, BytesOf<float>({-1, 2}), BytesOf<float>({0, 2}),
       BytesOf<float>({0, 1})},
      {v1::DTYPE_FLOAT64, BytesOf<double>({-1, 2}), BytesOf<double>({0, 2}),
       BytesOf<double>({0, 1})},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(v1::DType_Name(c.dtype));
    v1::ForwardRequest forward;
    forward.set_activation("relu");
    *forward.add_inputs() = TensorOf(c.dtype, {2});
    forward.add_payload(c.x);
    v1::BackwardRequest backward;
    backward.set_activation("relu");
    *backward.add_inputs() = forward.inputs(0);
    backward.add_payload(c.x);

    v1::ForwardResponse y;
    v1::BackwardResponse dx;
    ASSERT_TRUE(Forward(*stub_, forward, &y).ok());
    ASSERT_TRUE(Backward(*stub_, backward, &dx).ok());

    EXPECT_EQ(y.payload(0), c.y);
    EXPECT_EQ(dx.payload(0), c.dx);
  }
}

TEST_F(Integration, ServesTwoInputsAndAParameter) {
  const std::string id = IdOf("def f(x, y, a=2.0):\n    return a * x * y\n");
  v1::BackwardRequest request = BackwardOf(id, {1, 2}, {});
  *request.add_inputs() = request.inputs(0);
  request.add_payload(BytesOf<float>({10, 20}));
  SetParameter("a", 3, request.mutable_parameters());
  *request.mutable_grad_output() = request.inputs(0);
  request.add_payload(BytesOf<float>({1, -1}));
  for (const char* name : {"a", "y", "x"}) request.add_wrt(name);

  v1::BackwardResponse response;
  ASSERT_TRUE(Backward(*stub_, request, &response).ok());

  ASSERT_EQ(response.gradients_size(), 3);
  EXPECT_EQ(response.gradients(0).name(), "a");
  EXPECT_EQ(response.gradients(0).scalar(), 10 - 40);
  EXPECT_EQ(response.gradients(1).name(), "y");
  EXPECT_EQ(response.gradients(2).name(), "x");
  ASSERT_EQ(response.payload_size(), 2);
  EXPECT_THAT(ElementsOf<float>(response.payload(0)), ElementsAre(3, -6));
  EXPECT_THAT(ElementsOf<float>(response.payload(1)), ElementsAre(30, -60));
}

TEST_F(Integration, UsesTheDefaultOfAParameterUnlessGiven) {
  const std::string id = IdOf("def f(x, a=2.0):\n    return a * x\n");
  v1::ForwardRequest request = ForwardOf(id, {1});
  v1::ForwardResponse response;

  ASSERT_TRUE(Forward(*stub_, request, &response).ok());
  EXPECT_THAT(ElementsOf<float>(response.payload(0)), ElementsAre(2));

  SetParameter("a", 5, request.mutable_parameters());
  ASSERT_TRUE(Forward(*stub_, request, &response).ok());
  EXPECT_THAT(ElementsOf<float>(response.payload(0)), ElementsAre(5));
}

// Stateless, by residual, and by partials, on a tensor of many slices.
TEST_F(Integration, AllThreeWaysToAGradientAgree) {
  std::vector<float> x, dy;
  for (int i = 0; i < 300'001; ++i) {
    x.push_back(std::sin(static_cast<float>(i)) * 4);
    dy.push_back(std::cos(static_cast<float>(i) * 3));
  }
  v1::ForwardRequest forward = ForwardOf("gelu", x);
  forward.set_keep_residual(true);
  forward.add_partials("x");
  v1::ForwardResponse y;
  ASSERT_TRUE(Forward(*stub_, forward, &y).ok());
  v1::BackwardResponse stateless, by_residual;

  ASSERT_TRUE(Backward(*stub_, BackwardOf("gelu", x, dy), &stateless).ok());
  ASSERT_TRUE(
      Backward(*stub_, BackwardOf(y.residual(), dy), &by_residual).ok());

  EXPECT_EQ(stateless.payload(0), by_residual.payload(0));
  EXPECT_EQ(stateless.program_id(), by_residual.program_id());
  ASSERT_EQ(y.partials_size(), 1);
  const auto want = ElementsOf<float>(stateless.payload(0));
  const auto partial = ElementsOf<float>(y.payload(1));
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_NEAR(partial[i] * dy[i], want[i], 2e-7f * std::abs(want[i]))
        << "x = " << x[i];
  }
}

void AddValue(const std::string& name, const std::vector<float>& elements,
              google::protobuf::RepeatedPtrField<v1::NamedValue>* values) {
  v1::NamedValue& value = *values->Add();
  value.set_name(name);
  *value.mutable_tensor() =
      TensorOf(v1::DTYPE_FLOAT32, {static_cast<int64_t>(elements.size())});
}

// y = a x^3: dx = 3 a x^2 dy and da = sum(x^3 dy), of which the cotangents are
// v and w.
TEST_F(Integration, SecondOrderIsTheGradientOfTheGradient) {
  const std::string id = IdOf("def f(x, a=2.0):\n    return a * x * x * x\n");
  v1::ForwardRequest forward = ForwardOf(id, {1, 2});
  forward.set_keep_residual(true);
  v1::ForwardResponse y;
  ASSERT_TRUE(Forward(*stub_, forward, &y).ok());
  const auto of = [](v1::BackwardRequest request) {
    request.set_order(2);
    v1::NamedValue& w = *request.add_cotangents();
    w.set_name("a");
    w.set_scalar(100);
    AddValue("x", {1, 10}, request.mutable_cotangents());
    request.add_payload(BytesOf<float>({1, 10}));
    for (const char* name : {"dL/dy", "a", "x"}) request.add_wrt(name);
    return request;
  };
  for (const v1::BackwardRequest& request :
       {BackwardOf(id, {1, 2}, {5, 7}), BackwardOf(y.residual(), {5, 7})}) {
    v1::BackwardResponse response;
    const grpc::Status status = Backward(*stub_, of(request), &response);
    ASSERT_TRUE(status.ok()) << status.error_message();

    ASSERT_EQ(response.gradients_size(), 3);
    EXPECT_EQ(response.gradients(0).name(), "dL/dy");
    EXPECT_EQ(response.gradients(1).name(), "a");
    EXPECT_EQ(response.gradients(2).name(), "x");
    // 3 a x^2 v + x^3 w
    EXPECT_THAT(ElementsOf<float>(response.payload(0)),
                ElementsAre(6 + 100, 240 + 800));
    // sum(3 x^2 dy v)
    EXPECT_EQ(response.gradients(1).scalar(), 15 + 840);
    // 6 a x dy v + 3 x^2 dy w
    EXPECT_THAT(ElementsOf<float>(response.payload(1)),
                ElementsAre(60 + 1500, 1680 + 8400));
  }
}

TEST_F(Integration, AForwardWithTangentsReturnsThatOfTheOutput) {
  const std::string id = IdOf("def f(u, v, a=3.0):\n    return a * u * v\n");
  v1::ForwardRequest request = ForwardOf(id, {1, 2});
  *request.add_inputs() = request.inputs(0);
  request.add_payload(BytesOf<float>({5, 7}));
  // In the order of the activation, and in the other.
  for (const bool is_swapped : {false, true}) {
    v1::ForwardRequest with = request;
    const std::vector<float> du = {10, 100}, dv = {1000, 2000};
    AddValue(is_swapped ? "v" : "u", du, with.mutable_tangents());
    with.add_payload(BytesOf<float>(is_swapped ? dv : du));
    AddValue(is_swapped ? "u" : "v", du, with.mutable_tangents());
    with.add_payload(BytesOf<float>(is_swapped ? du : dv));
    v1::NamedValue& da = *with.add_tangents();
    da.set_name("a");
    // The second round comes from the plan, if the order is the program's.
    for (const double scalar : {0.5, 0.5, 1.5}) {
      da.set_scalar(scalar);
      v1::ForwardResponse response;
      const grpc::Status status = Forward(*stub_, with, &response);
      ASSERT_TRUE(status.ok()) << status.error_message();
      ASSERT_EQ(response.payload_size(), 2);
      EXPECT_THAT(ElementsOf<float>(response.payload(0)), ElementsAre(15, 42));
      const float f = static_cast<float>(scalar);
      EXPECT_THAT(ElementsOf<float>(response.payload(1)),
                  ElementsAre(150 + 3000 + f * 5, 2100 + 12000 + f * 14));
      EXPECT_EQ(response.tangent().shape(0), 2);
    }
  }
}

TEST_F(Integration, ResidualsKeepTheParametersOfTheirForward) {
  const std::string id = IdOf("def f(x, a=2.0):\n    return a * x\n");
  v1::ForwardRequest forward = ForwardOf(id, {1, 2});
  forward.set_keep_residual(true);
  SetParameter("a", 7, forward.mutable_parameters());
  v1::ForwardResponse y;
  ASSERT_TRUE(Forward(*stub_, forward, &y).ok());
  EXPECT_EQ(y.residual().handle().size(), 16);
  EXPECT_EQ(y.residual().lease().seconds(), 60);

  v1::BackwardResponse dx;
  ASSERT_TRUE(Backward(*stub_, BackwardOf(y.residual(), {1, 1}), &dx).ok());

  EXPECT_THAT(ElementsOf<float>(dx.payload(0)), ElementsAre(7, 7));
}

TEST_F(Integration, ALeaseIsCutToTheLongest) {
  v1::ForwardRequest forward = ForwardOf("relu", {1});
  forward.set_keep_residual(true);
  forward.mutable_residual_lease()->set_seconds(1'000'000);

  v1::ForwardResponse y;
  ASSERT_TRUE(Forward(*stub_, forward, &y).ok());

  EXPECT_EQ(y.residual().lease().seconds(), 600);
}

TEST_F(Integration, AReleasedResidualIsGone) {
  v1::ForwardRequest forward = ForwardOf("relu", {1});
  forward.set_keep_residual(true);
  v1::ForwardResponse y;
  ASSERT_TRUE(Forward(*stub_, forward, &y).ok());
  v1::ReleaseResidualsRequest release;
  release.add_handles(y.residual().handle());
  release.add_handles("no such handle..");
  v1::ReleaseResidualsResponse released;
  grpc::ClientContext context;

  ASSERT_TRUE(stub_->ReleaseResiduals(&context, release, &released).ok());

  EXPECT_EQ(released.num_released(), 1);
  v1::BackwardResponse dx;
  const grpc::Status status =
      Backward(*stub_, BackwardOf(y.residual(), {1}), &dx);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOf(status), "RESIDUAL_GONE");
}

TEST_F(Integration, RegisterIsIdempotentAndTellsAll) {
  const std::string text =
      "def twice(x, a=2.0):\n    \"\"\"Doubles.\"\"\"\n    return a * x + "
      "0.125\n";
  v1::RegisterActivationResponse first, second;
  ASSERT_TRUE(Register(*stub_, text, &first).ok());
  ASSERT_TRUE(Register(*stub_, text, &second).ok());

  EXPECT_FALSE(second.created());
  EXPECT_EQ(second.activation().id(), first.activation().id());
  const v1::Activation& info = first.activation();
  EXPECT_EQ(info.name(), "twice");
  EXPECT_FALSE(info.builtin());
  EXPECT_EQ(info.text(), text);
  EXPECT_EQ(info.doc(), "Doubles.");
  EXPECT_THAT(info.inputs(), ElementsAre("x"));
  ASSERT_EQ(info.parameters_size(), 1);
  EXPECT_EQ(info.parameters(0).name(), "a");
  EXPECT_EQ(info.parameters(0).default_value(), 2);
  EXPECT_EQ(info.gradients_size(), 0);
  EXPECT_NE(info.program(), "");
}

TEST_F(Integration, RegisterTakesConstantsAndADerivative) {
  v1::RegisterActivationRequest request;
  request.set_text("def f(x):\n    return c * x\n");
  request.set_derivative("def g(x):\n    return 0 * x + 42\n");
  (*request.mutable_constants())["c"] = 3;
  v1::RegisterActivationResponse response;
  const grpc::Status status = Register(*stub_, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const std::string id = response.activation().id();

  v1::ForwardResponse y;
  v1::BackwardResponse dx;
  ASSERT_TRUE(Forward(*stub_, ForwardOf(id, {2}), &y).ok());
  ASSERT_TRUE(Backward(*stub_, BackwardOf(id, {2}, {}), &dx).ok());

  EXPECT_THAT(ElementsOf<float>(y.payload(0)), ElementsAre(6));
  EXPECT_THAT(ElementsOf<float>(dx.payload(0)), ElementsAre(42));
  EXPECT_TRUE(response.activation().declared_gradient());
}

TEST_F(Integration, GetFindsByNameAndById) {
  v1::GetActivationRequest request;
  request.set_activation("gelu");
  v1::Activation by_name, by_id;
  grpc::ClientContext first, second;
  ASSERT_TRUE(stub_->GetActivation(&first, request, &by_name).ok());
  request.set_activation(by_name.id());

  ASSERT_TRUE(stub_->GetActivation(&second, request, &by_id).ok());

  EXPECT_EQ(by_name.SerializeAsString(), by_id.SerializeAsString());
  EXPECT_TRUE(by_name.builtin());
  EXPECT_EQ(by_name.gradients_size(), 0);
}

TEST_F(Integration, ListShowsBuiltinsAndWhatWasRegistered) {
  const std::string id = IdOf("def mine(x):\n    return 3 * x + 5\n");
  v1::ListActivationsResponse response;
  grpc::ClientContext context;

  ASSERT_TRUE(stub_->ListActivations(&context, {}, &response).ok());

  bool relu = false, mine = false;
  for (const v1::Activation& activation : response.activations()) {
    relu |= activation.builtin() && activation.name() == "relu";
    mine |= !activation.builtin() && activation.id() == id;
    EXPECT_EQ(activation.gradients_size(), 0);
  }
  EXPECT_TRUE(relu);
  EXPECT_TRUE(mine);
}

TEST_F(Integration, ServerInfoStatesDevicesLimitsAndAddresses) {
  v1::ServerInfo info;
  grpc::ClientContext context;

  ASSERT_TRUE(stub_->GetServerInfo(&context, {}, &info).ok());

  EXPECT_NE(info.version(), "");
  ASSERT_EQ(info.devices_size(), 1);
  EXPECT_EQ(info.devices(0).name(), "cpu");
  EXPECT_EQ(info.devices(0).reason(), "--device=cpu");
  EXPECT_EQ(info.devices(0).counters().num_launches(), 0);
  EXPECT_EQ(info.dtypes_size(), 4);
  EXPECT_EQ(info.limits().max_message_bytes(), (64 << 20) + (64 << 10));
  EXPECT_EQ(info.limits().max_rank(), 8);
  EXPECT_EQ(info.limits().max_residual_lease().seconds(), 600);
  EXPECT_THAT(info.addresses(),
              ElementsAre(server_->tcp_address(), server_->unix_address()));
}

// Every way for requests to be computed, seen from outside.
TEST_F(Integration, CountsRequestsAtOnceAndQueued) {
  const auto counters = [] {
    v1::ServerInfo info;
    grpc::ClientContext context;
    EXPECT_TRUE(stub_->GetServerInfo(&context, {}, &info).ok());
    return info.devices(0).counters();
  };
  v1::ForwardResponse response;
  ASSERT_TRUE(Forward(*stub_, ForwardOf("relu", {1}), &response).ok());
  const v1::DeviceCounters before = counters();

  ASSERT_TRUE(Forward(*stub_, ForwardOf("relu", {1}), &response).ok());
  const std::vector<float> large(1'000'000, 1.0f);
  ASSERT_TRUE(Forward(*stub_, ForwardOf("relu", large), &response).ok());

  const v1::DeviceCounters after = counters();
  EXPECT_EQ(after.num_inline_requests(), before.num_inline_requests() + 1);
  EXPECT_EQ(after.num_queued_requests(), before.num_queued_requests() + 1);
  EXPECT_EQ(after.num_batches(), before.num_batches() + 1);
  EXPECT_EQ(after.batch_sizes(0), before.batch_sizes(0) + 1);
  EXPECT_EQ(after.batch_sizes_size(), 11);
  EXPECT_EQ(after.num_waiting(), 0);
  EXPECT_EQ(after.num_running_batches(), 0);
}

TEST_F(Integration, TheUnixSocketServesToo) {
  auto stub =
      v1::ActivationService::NewStub(ChannelTo(server_->unix_address()));

  v1::ForwardResponse response;
  ASSERT_TRUE(Forward(*stub, ForwardOf("relu", {-1, 1}), &response).ok());

  EXPECT_THAT(ElementsOf<float>(response.payload(0)), ElementsAre(0, 1));
}

TEST_F(Integration, HealthAnswersForTheServerAndTheService) {
  auto health = grpc::health::v1::Health::NewStub(channel_);
  for (const char* service : {"", "actserve.v1.ActivationService"}) {
    SCOPED_TRACE(service);
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    grpc::health::v1::HealthCheckResponse response;
    grpc::ClientContext context;

    ASSERT_TRUE(health->Check(&context, request, &response).ok());

    EXPECT_EQ(response.status(),
              grpc::health::v1::HealthCheckResponse::SERVING);
  }
}

TEST_F(Integration, HealthKnowsNoOtherService) {
  auto health = grpc::health::v1::Health::NewStub(channel_);
  grpc::health::v1::HealthCheckRequest request;
  request.set_service("other");
  grpc::health::v1::HealthCheckResponse response;
  grpc::ClientContext check, watch;

  EXPECT_EQ(health->Check(&check, request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
  const auto updates = health->Watch(&watch, request);
  ASSERT_TRUE(updates->Read(&response));

  EXPECT_EQ(response.status(),
            grpc::health::v1::HealthCheckResponse::SERVICE_UNKNOWN);
  watch.TryCancel();
  EXPECT_EQ(updates->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(Integration, ReflectionIsOffUnlessAsked) {
  EXPECT_EQ(
      CallRaw(channel_,
              "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
              std::string("\x3a\x00", 2))
          .error_code(),
      grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(Integration, ALargeTensorComesBackWhole) {
  std::vector<float> x(16 << 20);  // 64 MiB, the largest that fits
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(i) - 8'000'000;
  }

  v1::ForwardResponse response;
  const grpc::Status status = Forward(*stub_, ForwardOf("relu", x), &response);

  ASSERT_TRUE(status.ok()) << status.error_message();
  const auto y = ElementsOf<float>(response.payload(0));
  ASSERT_EQ(y.size(), x.size());
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], std::max(x[i], 0.0f));
}

TEST_F(Integration, EmptyTensorsAreValid) {
  v1::ForwardRequest request = ForwardOf("gelu", {});
  *request.mutable_inputs(0) = TensorOf(v1::DTYPE_FLOAT32, {3, 0, 2});
  request.set_keep_residual(true);
  request.add_partials("x");
  v1::ForwardResponse y;
  ASSERT_TRUE(Forward(*stub_, request, &y).ok());
  EXPECT_THAT(y.payload(), ElementsAre("", ""));
  EXPECT_THAT(y.output().shape(), ElementsAre(3, 0, 2));

  v1::BackwardRequest backward;
  backward.set_residual(y.residual().handle());
  v1::BackwardResponse dx;
  ASSERT_TRUE(Backward(*stub_, backward, &dx).ok());
  EXPECT_THAT(dx.payload(), ElementsAre(""));
}

TEST_F(Integration, AScalarIsATensorOfNoDimensions) {
  v1::ForwardRequest request = ForwardOf("relu", {3});
  request.mutable_inputs(0)->clear_shape();

  v1::ForwardResponse response;
  ASSERT_TRUE(Forward(*stub_, request, &response).ok());

  EXPECT_EQ(response.output().shape_size(), 0);
  EXPECT_THAT(ElementsOf<float>(response.payload(0)), ElementsAre(3));
}

TEST_F(Integration, NanAndInfinitiesAreData) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

  v1::ForwardResponse response;
  ASSERT_TRUE(
      Forward(*stub_, ForwardOf("relu", {kNan, kInf, -kInf}), &response).ok());

  const auto y = ElementsOf<float>(response.payload(0));
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], kInf);
  EXPECT_EQ(y[2], 0);
}

TEST_F(Integration, TheSameRequestHasTheSameBytes) {
  std::vector<float> x;
  for (int i = 0; i < 100'000; ++i) {
    x.push_back(std::sin(static_cast<float>(i)));
  }
  v1::BackwardRequest request = BackwardOf("leaky_relu", x, x);
  v1::GetActivationRequest get;
  get.set_activation("leaky_relu");
  v1::Activation info;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->GetActivation(&context, get, &info).ok());
  ASSERT_GT(info.parameters_size(), 0);
  request.add_wrt(info.parameters(0).name());
  request.add_wrt("x");

  v1::BackwardResponse first, second;
  ASSERT_TRUE(Backward(*stub_, request, &first).ok());
  ASSERT_TRUE(Backward(*stub_, request, &second).ok());

  EXPECT_EQ(first.payload(0), second.payload(0));
  EXPECT_EQ(first.gradients(0).scalar(), second.gradients(0).scalar());
}

class IntegrationWithReflection : public ServerTest {
 protected:
  static void SetUpTestSuite() {
    StartServer({"--device=cpu", "--reflection"});
  }
};

TEST_F(IntegrationWithReflection, ListsTheServices) {
  std::string services;
  const grpc::Status status =
      CallRaw(channel_,
              "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
              std::string("\x3a\x00", 2), &services);

  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(services, HasSubstr("actserve.v1.ActivationService"));
  EXPECT_THAT(services, HasSubstr("grpc.health.v1.Health"));
}

}  // namespace
}  // namespace actserve::testing
