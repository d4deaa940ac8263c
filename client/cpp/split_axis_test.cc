// Gates whose inputs are the halves of one tensor, from the options of a call
// to a real server.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "client/cpp/client.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

using ::testing::ElementsAre;

// y = a max(b, 0), of the halves of [2, 2] along the last axis.
const std::vector<double> kX = {2, 3, 5, -7};
const std::vector<double> kDy = {10, 100};

class SplitAxisTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = testing::ServerProcess::Start(
        testing::BinaryOfBuild(ACTSERVED_BINARY), {"--device=cpu"});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    client_ = *Client::Connect(server_->tcp_address());
    options_.split_axis = -1;
  }

  // The gradients with respect to all inputs and, of order 2, dy.
  BackwardCall BackwardOf(std::vector<double>& dx) {
    BackwardCall call;
    call.activation = "reglu";
    call.inputs = {View(kX, {2, 2})};
    call.grad_output = View(kDy, {2, 1});
    call.wrt = {{kAllInputsName, MutableBytes(dx)}};
    call.options = options_;
    return call;
  }

  std::unique_ptr<testing::ServerProcess> server_;
  std::unique_ptr<Client> client_;
  CallOptions options_;
};

TEST_F(SplitAxisTest, ForwardTakesOneTensor) {
  std::vector<double> y(2);

  const absl::Status status =
      client_->Forward("reglu", {View(kX, {2, 2})}, MutableBytes(y), options_);

  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(y, ElementsAre(6, 0));
}

TEST_F(SplitAxisTest, BackwardGivesOneGradient) {
  std::vector<double> dx(4);
  std::vector<double> second(2);
  BackwardCall call = BackwardOf(dx);

  const auto first = client_->Backward(call);

  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_THAT(dx, ElementsAre(30, 20, 0, 0));
  call.order = 2;
  const std::vector<double> cotangent = {1, 1, 1, 1};
  call.cotangents = {{kAllInputsName, View(cotangent, {2, 2})}};
  call.wrt.push_back({kGradOutputName, MutableBytes(second)});
  const auto of_order_two = client_->Backward(call);
  ASSERT_TRUE(of_order_two.ok()) << of_order_two.status();
  EXPECT_THAT(dx, ElementsAre(10, 10, 0, 0));
  EXPECT_THAT(second, ElementsAre(5, 0));
}

TEST_F(SplitAxisTest, ForwardWithHasOnePartialAndAResidual) {
  std::vector<double> y(2);
  std::vector<double> partial(4);
  std::vector<double> dx(4);
  ForwardCall call;
  call.activation = "reglu";
  call.inputs = {View(kX, {2, 2})};
  call.output = MutableBytes(y);
  call.partials = {{kAllInputsName, MutableBytes(partial)}};
  call.keep_residual = true;
  call.options = options_;

  const auto forward = client_->ForwardWith(call);

  ASSERT_TRUE(forward.ok()) << forward.status();
  EXPECT_THAT(partial, ElementsAre(3, 2, 0, 0));
  BackwardCall backward = BackwardOf(dx);
  backward.inputs.clear();
  backward.residual = forward->residual->handle();
  const auto gradients = client_->Backward(backward);
  ASSERT_TRUE(gradients.ok()) << gradients.status();
  EXPECT_THAT(dx, ElementsAre(30, 20, 0, 0));
}

TEST_F(SplitAxisTest, RefusesRoomThatIsNoEqualPart) {
  std::vector<double> y(3);

  const absl::Status status =
      client_->Forward("reglu", {View(kX, {2, 2})}, MutableBytes(y), options_);

  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      status.message(),
      "room for the output: 24 bytes, no equal part of the 32 of input 0");
}

}  // namespace
}  // namespace actserve
