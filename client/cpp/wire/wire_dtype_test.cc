// float32 tensors that travel in 16 bits, to a real server and back.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "client/cpp/client.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;

class WireDTypeTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto server = testing::ServerProcess::Start(
        testing::BinaryOfBuild(ACTSERVED_BINARY), {"--device=cpu"});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    client_ = *Client::Connect(server_->tcp_address());
  }
  static void TearDownTestSuite() {
    client_.reset();
    server_.reset();
  }

  inline static std::unique_ptr<testing::ServerProcess> server_;
  inline static std::unique_ptr<Client> client_;
};

// From -8 to 8.
std::vector<float> Numbers(size_t count) {
  std::vector<float> x(count);
  for (size_t i = 0; i < count; ++i) {
    x[i] = -8 + 16 * static_cast<float>(i) / static_cast<float>(count);
  }
  return x;
}

double Silu(double x) { return x / (1 + std::exp(-x)); }

// Of each way, relative to the largest number there.
double RoundingOf(v1::DType dtype) {
  return dtype == v1::DTYPE_BFLOAT16 ? 0x1p-8 : 0x1p-11;
}

TEST_F(WireDTypeTest, IsAsExactAsItsBits) {
  // The last goes as a stream.
  for (const size_t count :
       {size_t{0}, size_t{1}, size_t{1001}, size_t{5} << 20}) {
    for (const v1::DType dtype : {v1::DTYPE_BFLOAT16, v1::DTYPE_FLOAT16}) {
      SCOPED_TRACE(v1::DType_Name(dtype));
      const std::vector<float> x = Numbers(count);
      std::vector<float> y(count, -1);
      CallOptions options;
      options.wire_dtype = dtype;
      const absl::Status status =
          client_->Forward("silu", {View(x)}, MutableBytes(y), options);
      ASSERT_TRUE(status.ok()) << status;
      const double rounding = RoundingOf(dtype);
      for (size_t i = 0; i < count; ++i) {
        const double want = Silu(x[i]);
        // The derivative of silu is below 1.1.
        const double bound =
            rounding * (1.1 * std::abs(x[i]) + 1.01 * std::abs(want)) + 0x1p-24;
        ASSERT_LE(std::abs(y[i] - want), bound) << "at " << x[i];
      }
      // What is received has 16 bits.
      if (dtype == v1::DTYPE_BFLOAT16) {
        for (const float each : y) {
          uint32_t bits;
          std::memcpy(&bits, &each, sizeof(bits));
          ASSERT_EQ(bits & 0xFFFF, 0);
        }
      }
    }
  }
}

TEST_F(WireDTypeTest, GivesGradientsAndPartials) {
  const std::vector<float> x = {-2, -0.5, 0.25, 4};
  const std::vector<float> dy = {1, 2, 3, 4};
  std::vector<float> dx(4), y(4), partial(4);
  BackwardCall backward;
  backward.activation = "leaky_relu";
  backward.inputs = {View(x)};
  backward.grad_output = View(dy);
  backward.wrt = {{"x", MutableBytes(dx)}, {"negative_slope", {}}};
  backward.options.parameters = {{"negative_slope", 0.25}};
  backward.options.wire_dtype = v1::DTYPE_FLOAT16;
  const auto gradients = client_->Backward(backward);
  ASSERT_TRUE(gradients.ok()) << gradients.status();
  EXPECT_EQ(dx, (std::vector<float>{0.25, 0.5, 3, 4}));
  EXPECT_EQ(gradients->parameter_gradients.at("negative_slope"), -3);

  ForwardCall forward;
  forward.activation = "leaky_relu";
  forward.inputs = {View(x)};
  forward.output = MutableBytes(y);
  forward.partials = {{"x", MutableBytes(partial)}};
  forward.options = backward.options;
  ASSERT_TRUE(client_->ForwardWith(forward).ok());
  EXPECT_EQ(y, (std::vector<float>{-0.5, -0.125, 0.25, 4}));
  EXPECT_EQ(partial, (std::vector<float>{0.25, 0.25, 1, 1}));
}

TEST_F(WireDTypeTest, RefusesWhatIsNotFloat32) {
  const std::vector<double> doubles = {1};
  std::vector<double> y(1);
  CallOptions options;
  options.wire_dtype = v1::DTYPE_BFLOAT16;
  absl::Status status =
      client_->Forward("relu", {View(doubles)}, MutableBytes(y), options);
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("wire_dtype: input 0 is DTYPE_FLOAT64, not float32"));

  const std::vector<float> x = {1};
  std::vector<float> z(1);
  options.wire_dtype = v1::DTYPE_FLOAT64;
  status = client_->Forward("relu", {View(x)}, MutableBytes(z), options);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("wire_dtype: DTYPE_FLOAT64, must be"));

  ForwardCall keeping;
  keeping.activation = "relu";
  keeping.inputs = {View(x)};
  keeping.output = MutableBytes(z);
  keeping.keep_residual = true;
  keeping.options.wire_dtype = v1::DTYPE_BFLOAT16;
  EXPECT_THAT(std::string(client_->ForwardWith(keeping).status().message()),
              HasSubstr("given together with keep_residual"));
}

}  // namespace
}  // namespace actserve
