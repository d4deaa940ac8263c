// Activations that read rows, from the options of a call to a real server.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/cpp/client.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

using ::testing::DoubleNear;
using ::testing::Pointwise;

constexpr char kSoftmax[] = R"(
def softmax(x, scale=1.0):
    e = exp(scale * (x - rowmax(x)))
    return e / rowsum(e)
)";

// Of the shape [2, 3].
const std::vector<double> kX = {1, 2, 4, 2, 1, 0.5};
const std::vector<double> kDy = {1, -1, 0.5, 2, 0, 3};

// The softmax of kX along `axis`, 0 or 1, and its gradient by kDy; with
// `scale`, also that by the scale.
struct Expected {
  std::vector<double> y = std::vector<double>(6);
  std::vector<double> dx = std::vector<double>(6);
  double dscale = 0;

  Expected(int axis, double scale) {
    for (int row = 0; row < (axis == 0 ? 3 : 2); ++row) {
      std::vector<int> at;
      for (int i = 0; i < (axis == 0 ? 2 : 3); ++i) {
        at.push_back(axis == 0 ? 3 * i + row : 3 * row + i);
      }
      double sum = 0, mean_dy = 0, mean_x = 0;
      for (const int i : at) sum += std::exp(scale * kX[i]);
      for (const int i : at) {
        y[i] = std::exp(scale * kX[i]) / sum;
        mean_dy += y[i] * kDy[i];
        mean_x += y[i] * kX[i];
      }
      for (const int i : at) {
        dx[i] = scale * y[i] * (kDy[i] - mean_dy);
        dscale += kDy[i] * y[i] * (kX[i] - mean_x);
      }
    }
  }
};

class RowsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = testing::ServerProcess::Start(
        testing::BinaryOfBuild(ACTSERVED_BINARY), {"--device=cpu"});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    client_ = *Client::Connect(server_->tcp_address());
    const auto softmax = client_->RegisterActivation(kSoftmax);
    ASSERT_TRUE(softmax.ok()) << softmax.status();
    EXPECT_TRUE(softmax->activation().reads_rows());
    id_ = softmax->activation().id();
  }

  ForwardCall SoftmaxOf(std::vector<double>& y, std::optional<int> axis) {
    ForwardCall call;
    call.activation = id_;
    call.inputs = {View(kX, {2, 3})};
    call.output = MutableBytes(y);
    call.options.axis = axis;
    return call;
  }

  BackwardCall GradientOf(std::vector<double>& dx, std::optional<int> axis) {
    BackwardCall call;
    call.activation = id_;
    call.inputs = {View(kX, {2, 3})};
    call.grad_output = View(kDy, {2, 3});
    call.wrt = {{"x", MutableBytes(dx)}, {"scale", {}}};
    call.options.axis = axis;
    return call;
  }

  std::unique_ptr<testing::ServerProcess> server_;
  std::unique_ptr<Client> client_;
  std::string id_;
};

TEST_F(RowsTest, RunAlongTheAxisOfTheOptions) {
  for (const int axis : {0, 1, -1, -2}) {
    SCOPED_TRACE(axis);
    const Expected want((axis + 2) % 2, 0.5);
    std::vector<double> y(6), dx(6);
    CallOptions options;
    options.axis = axis;
    options.parameters = {{"scale", 0.5}};
    BackwardCall call = GradientOf(dx, axis);
    call.options = options;

    const absl::Status status =
        client_->Forward(id_, {View(kX, {2, 3})}, MutableBytes(y), options);
    const auto result = client_->Backward(call);

    ASSERT_TRUE(status.ok()) << status;
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_THAT(y, Pointwise(DoubleNear(1e-14), want.y));
    EXPECT_THAT(dx, Pointwise(DoubleNear(1e-14), want.dx));
    EXPECT_NEAR(result->parameter_gradients.at("scale"), want.dscale, 1e-14);
  }
}

// y = x * weight + shift, with a weight per column and a shift per row.
TEST_F(RowsTest, ParametersMayBeTensors) {
  v1::RegisterActivationRequest request;
  request.set_text(
      "def affine(x, weight=1, shift=0): return x * weight + shift");
  const auto registered = client_->RegisterActivation(request);
  ASSERT_TRUE(registered.ok()) << registered.status();
  const std::vector<double> weight = {1, -2, 3};
  const std::vector<double> shift = {10, 20};
  CallOptions options;
  options.parameter_tensors = {{"weight", {View(weight, {3}), -1}},
                               {"shift", {View(shift, {2}), 0}}};
  std::vector<double> y(6), dx(6), dweight(3), dshift(2);
  BackwardCall call;
  call.activation = registered->activation().id();
  call.inputs = {View(kX, {2, 3})};
  call.wrt = {{"shift", MutableBytes(dshift)},
              {"x", MutableBytes(dx)},
              {"weight", MutableBytes(dweight)}};
  call.options = options;

  const absl::Status status = client_->Forward(
      call.activation, {View(kX, {2, 3})}, MutableBytes(y), options);
  const auto result = client_->Backward(call);

  ASSERT_TRUE(status.ok()) << status;
  ASSERT_TRUE(result.ok()) << result.status();
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(y[i], kX[i] * weight[i % 3] + shift[i / 3]);
    EXPECT_EQ(dx[i], weight[i % 3]);
  }
  for (int c = 0; c < 3; ++c) EXPECT_EQ(dweight[c], kX[c] + kX[c + 3]);
  EXPECT_EQ(dshift, std::vector<double>({3, 3}));

  dweight.resize(2);
  call.wrt = {{"weight", MutableBytes(dweight)}};
  EXPECT_EQ(client_->Backward(call).status().message(),
            "room for the gradient weight: 16 bytes, but it has 24");
}

// z = x * x * weight, with a weight per column.
TEST_F(RowsTest, CotangentsAndTangentsOfTensorsHaveTheirShape) {
  v1::RegisterActivationRequest request;
  request.set_text("def f(x, weight=1): return x * x * weight");
  const auto registered = client_->RegisterActivation(request);
  ASSERT_TRUE(registered.ok()) << registered.status();
  const std::vector<double> weight = {1, -2, 3};
  const std::vector<double> dweight = {0.5, 4, -1};
  CallOptions options;
  options.parameter_tensors = {{"weight", {View(weight, {3}), -1}}};
  std::vector<double> y(6), tangent(6), by_x(6), by_weight(3);
  ForwardCall forward;
  forward.activation = registered->activation().id();
  forward.inputs = {View(kX, {2, 3})};
  forward.output = MutableBytes(y);
  forward.tangents = {{"weight", View(dweight, {3})}, {"x", View(kDy, {2, 3})}};
  forward.tangent = MutableBytes(tangent);
  forward.options = options;
  BackwardCall backward;
  backward.activation = forward.activation;
  backward.inputs = forward.inputs;
  backward.order = 2;
  backward.cotangents = forward.tangents;
  backward.wrt = {{"weight", MutableBytes(by_weight)},
                  {"x", MutableBytes(by_x)}};
  backward.options = options;

  const auto moved = client_->ForwardWith(forward);
  const auto second = client_->Backward(backward);

  ASSERT_TRUE(moved.ok()) << moved.status();
  ASSERT_TRUE(second.ok()) << second.status();
  for (int i = 0; i < 6; ++i) {
    const double w = weight[i % 3], dw = dweight[i % 3];
    EXPECT_EQ(tangent[i], kX[i] * kX[i] * dw + 2 * kX[i] * w * kDy[i]);
    EXPECT_EQ(by_x[i], 2 * kX[i] * dw + 2 * w * kDy[i]);
  }
  for (int c = 0; c < 3; ++c) {
    EXPECT_EQ(by_weight[c], 2 * (kX[c] * kDy[c] + kX[c + 3] * kDy[c + 3]));
  }
}

TEST_F(RowsTest, AResidualKnowsItsAxis) {
  std::vector<double> y(6), dx(6);
  ForwardCall forward = SoftmaxOf(y, 0);
  forward.keep_residual = true;
  for (const std::optional<int> axis : {std::optional<int>(), {0}, {-2}}) {
    const auto kept = client_->ForwardWith(forward);
    ASSERT_TRUE(kept.ok()) << kept.status();
    BackwardCall backward = GradientOf(dx, axis);
    backward.inputs.clear();
    backward.residual = kept->residual->handle();

    const auto result = client_->Backward(backward);

    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_THAT(dx, Pointwise(DoubleNear(1e-14), Expected(0, 1).dx));
  }
}

TEST_F(RowsTest, ALostResidualTakesTheAxisOfTheOptions) {
  std::vector<double> dx(6);
  BackwardCall backward = GradientOf(dx, 0);
  backward.residual = "0123456789abcdef";

  const auto result = client_->Backward(backward);

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(dx, Pointwise(DoubleNear(1e-14), Expected(0, 1).dx));
}

TEST_F(RowsTest, AWrongAxisIsRefused) {
  std::vector<double> y(6), dx(6);
  const auto message = [](const absl::Status& status) {
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  };

  EXPECT_EQ(message(client_->ForwardWith(SoftmaxOf(y, {})).status()),
            "axis: not set, but softmax reads rows");
  EXPECT_EQ(message(client_->Backward(GradientOf(dx, 2)).status()),
            "axis: 2, but the inputs have the shape [2, 3]: want -2 to 1");
  CallOptions options;
  options.axis = 0;
  EXPECT_EQ(
      message(client_->Forward("gelu", {View(kX)}, MutableBytes(y), options)),
      "axis: 0 given, but gelu reads no rows");
  ForwardCall forward = SoftmaxOf(y, 0);
  forward.keep_residual = true;
  const auto kept = client_->ForwardWith(forward);
  ASSERT_TRUE(kept.ok()) << kept.status();
  BackwardCall backward = GradientOf(dx, 1);
  backward.residual = kept->residual->handle();
  EXPECT_EQ(message(client_->Backward(backward).status()),
            "axis: 1 is not that of the residual, 0");
}

}  // namespace
}  // namespace actserve
