// A stream gives the bits of the unary call, whatever is asked for.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "actserve/v1/service.pb.h"
#include "client/cpp/client.h"
#include "client/cpp/message/envelope.h"
#include "client/cpp/raw_stub.h"
#include "client/cpp/stream/exchange.h"
#include "client/cpp/tensor_calls.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

constexpr char kService[] = "/actserve.v1.ActivationService/";

// Several slabs, and an end that is no multiple of anything.
constexpr int64_t kMany = (int64_t{1} << 20) + 4321;

class StreamBitsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto server = testing::ServerProcess::Start(
        testing::BinaryOfBuild(ACTSERVED_BINARY), {"--device=cpu"});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    client_ = *Client::Connect(server_->tcp_address());
    stub_ = std::make_unique<RawStub>(MakeChannel(server_->tcp_address()));
  }
  static void TearDownTestSuite() {
    stub_.reset();
    client_.reset();
    server_.reset();
  }

  static std::string IdOf(const std::string& text) {
    const auto registered = client_->RegisterActivation(text);
    EXPECT_TRUE(registered.ok()) << registered.status();
    return registered.ok() ? registered->activation().id() : "";
  }

  inline static std::unique_ptr<testing::ServerProcess> server_;
  inline static std::unique_ptr<Client> client_;
  inline static std::unique_ptr<RawStub> stub_;
};

v1::Tensor TensorOf(v1::DType dtype, const std::vector<int64_t>& shape) {
  v1::Tensor tensor;
  tensor.set_dtype(dtype);
  tensor.mutable_shape()->Add(shape.begin(), shape.end());
  return tensor;
}

// Numbers as elements of `tensor`; of 16 bits, any finite ones.
std::string RandomBytes(const v1::Tensor& tensor, int seed) {
  int64_t count = 1;
  for (const int64_t dimension : tensor.shape()) count *= dimension;
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::string bytes;
  const auto add = [&](auto number) {
    bytes.append(reinterpret_cast<const char*>(&number), sizeof(number));
  };
  for (int64_t i = 0; i < count; ++i) {
    switch (tensor.dtype()) {
      case v1::DTYPE_FLOAT32:
        add(normal(random));
        break;
      case v1::DTYPE_FLOAT64:
        add(static_cast<double>(normal(random)));
        break;
      default:
        add(static_cast<uint16_t>(0x3800 + random() % 0x0900 +
                                  (random() % 2 << 15)));
    }
  }
  return bytes;
}

// The same request both ways.
class BothWays {
 public:
  explicit BothWays(RawStub& stub) : stub_(stub) {}

  // Adds a payload like `tensor`.
  void Add(const v1::Tensor& tensor) {
    payloads_.push_back(
        RandomBytes(tensor, static_cast<int>(payloads_.size()) + 1));
  }

  template <typename Response, typename Request>
  void ExpectEqualBits(absl::string_view method, const Request& request) {
    std::vector<ByteSpan> spans;
    for (const std::string& payload : payloads_) {
      spans.emplace_back(reinterpret_cast<const std::byte*>(payload.data()),
                         payload.size());
    }
    const Envelope envelope(request, spans);
    const absl::Time deadline = absl::Now() + absl::Minutes(2);
    auto unary =
        stub_.Call(absl::StrCat(kService, method), envelope.parts(), deadline);
    ASSERT_TRUE(unary.status.ok()) << unary.status.error_message();
    StreamExchange exchange(method, *Split(envelope.parts()), {});
    auto stream = stub_.Stream(kService, exchange, deadline);
    ASSERT_TRUE(stream.status.ok()) << stream.status.error_message();

    auto want = *Open<Response>(std::move(unary.slices));
    auto got = *Open<Response>(std::move(stream.slices));
    EXPECT_TRUE(got.metadata.has_timings());
    want.metadata.clear_timings();
    got.metadata.clear_timings();
    EXPECT_EQ(got.metadata.SerializeAsString(),
              want.metadata.SerializeAsString());
    ASSERT_EQ(got.payloads.size(), want.payloads.size());
    for (size_t i = 0; i < want.payloads.size(); ++i) {
      EXPECT_TRUE(BytesOf(got.payloads[i]) == BytesOf(want.payloads[i]))
          << "payload " << i;
    }
    EXPECT_EQ(stub_.num_parts_on_loan(), 0);
  }

  void Forward(const v1::ForwardRequest& request) {
    ExpectEqualBits<v1::ForwardResponse>("Forward", request);
  }
  void Backward(const v1::BackwardRequest& request) {
    ExpectEqualBits<v1::BackwardResponse>("Backward", request);
  }

 private:
  static std::vector<std::byte> BytesOf(const SplitResponse::Payload& payload) {
    std::vector<std::byte> bytes(payload.size_bytes);
    CopyPayload(payload, absl::MakeSpan(bytes));
    return bytes;
  }

  RawStub& stub_;
  std::vector<std::string> payloads_;
};

TEST_F(StreamBitsTest, OfEveryDtype) {
  for (const v1::DType dtype : {v1::DTYPE_FLOAT16, v1::DTYPE_BFLOAT16,
                                v1::DTYPE_FLOAT32, v1::DTYPE_FLOAT64}) {
    SCOPED_TRACE(v1::DType_Name(dtype));
    v1::ForwardRequest forward;
    v1::BackwardRequest backward;
    forward.set_activation("gelu");
    backward.set_activation("gelu");
    const v1::Tensor x = TensorOf(dtype, {kMany});
    *forward.add_inputs() = x;
    *backward.add_inputs() = x;
    *backward.mutable_grad_output() = x;
    BothWays both(*stub_);
    both.Add(x);
    both.Forward(forward);
    both.Add(x);
    both.Backward(backward);
  }
}

TEST_F(StreamBitsTest, OfAnyNumberOfElements) {
  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{
           {}, {0}, {1}, {262144}, {262145}, {3, 0, 5}, {512, 1024}}) {
    SCOPED_TRACE(::testing::PrintToString(shape));
    v1::ForwardRequest request;
    request.set_activation("silu");
    *request.add_inputs() = TensorOf(v1::DTYPE_FLOAT32, shape);
    BothWays both(*stub_);
    both.Add(request.inputs(0));
    both.Forward(request);
  }
}

// Gradients of numbers sum all elements, and an upstream gradient may be left
// out.
TEST_F(StreamBitsTest, OfGradientsOfNumbers) {
  const std::string id = IdOf(
      "def f(x, y, a=0.5, b=1.0):\n"
      "    return tanh(a * x) * y + b * x * sigmoid(y)\n");
  for (const v1::DType dtype : {v1::DTYPE_BFLOAT16, v1::DTYPE_FLOAT32}) {
    for (const int64_t count : {int64_t{5000}, int64_t{262144}, kMany}) {
      SCOPED_TRACE(absl::StrCat(v1::DType_Name(dtype), " ", count));
      v1::BackwardRequest request;
      request.set_activation(id);
      BothWays both(*stub_);
      for (int i = 0; i < 2; ++i) {
        *request.add_inputs() = TensorOf(dtype, {count});
        both.Add(request.inputs(i));
      }
      for (const char* name : {"b", "x", "a"}) request.add_wrt(name);
      both.Backward(request);
      *request.mutable_grad_output() = request.inputs(0);
      both.Add(request.grad_output());
      both.Backward(request);
      request.clear_wrt();
      request.add_wrt("a");
      both.Backward(request);
    }
  }
}

TEST_F(StreamBitsTest, OfPartialsTangentsAndSecondOrder) {
  const std::string id =
      IdOf("def f(x, y, a=0.5):\n    return sin(a * x) * exp(-y * y)\n");
  const v1::Tensor x = TensorOf(v1::DTYPE_FLOAT32, {1001, 999});
  BothWays both(*stub_);
  v1::ForwardRequest forward;
  forward.set_activation(id);
  for (int i = 0; i < 2; ++i) {
    *forward.add_inputs() = x;
    both.Add(x);
  }
  forward.add_partials("y");
  forward.add_partials("x");
  both.Forward(forward);
  v1::BackwardRequest second;
  second.set_activation(id);
  *second.mutable_inputs() = forward.inputs();
  *second.mutable_grad_output() = x;
  second.set_order(2);
  second.add_cotangents()->set_name("x");
  *second.mutable_cotangents(0)->mutable_tensor() = x;
  for (const char* name : {"x", "y", "a", "dL/dy"}) second.add_wrt(name);
  forward.clear_partials();
  forward.add_tangents()->set_name("y");
  *forward.mutable_tangents(0)->mutable_tensor() = x;
  both.Add(x);
  both.Forward(forward);
  both.Add(x);
  both.Backward(second);
}

TEST_F(StreamBitsTest, OfRowsAlongAnyAxis) {
  const std::string id = IdOf(
      "def soft(x, scale=1.0):\n"
      "    e = exp(scale * (x - rowmax(x)))\n"
      "    return e / rowsum(e)\n");
  const std::vector<std::pair<std::vector<int64_t>, int>> cases = {
      {{1100, 1000}, -1}, {{1100, 1024}, 1},   {{9, 64, 2000}, 1},
      {{9, 64, 2048}, 1}, {{64, 20000}, 0},    {{3, 400000}, -1},
      {{70000, 17}, -1},  {{5, 3, 70001}, -1}, {{2048, 512}, -1}};
  for (const auto& [shape, axis] : cases) {
    SCOPED_TRACE(::testing::PrintToString(shape) + " along " +
                 std::to_string(axis));
    const v1::Tensor x = TensorOf(v1::DTYPE_FLOAT32, shape);
    v1::ForwardRequest forward;
    forward.set_activation(id);
    forward.set_axis(axis);
    *forward.add_inputs() = x;
    v1::BackwardRequest backward;
    backward.set_activation(id);
    backward.set_axis(axis);
    *backward.add_inputs() = x;
    *backward.mutable_grad_output() = x;
    BothWays both(*stub_);
    both.Add(x);
    both.Forward(forward);
    both.Add(x);
    both.Backward(backward);
    backward.add_wrt("x");
    backward.add_wrt("scale");
    both.Backward(backward);
  }
}

TEST_F(StreamBitsTest, OfTensorsThatBroadcast) {
  const std::string id = IdOf(
      "def f(x, bias, slope=0.25):\n"
      "    z = x + bias\n"
      "    return z if z > 0 else slope * z\n");
  const std::vector<int64_t> shape = {130, 40, 250};
  for (const std::vector<int64_t>& bias :
       std::vector<std::vector<int64_t>>{{250},
                                         {40, 250},
                                         {40, 1},
                                         {130, 1, 1},
                                         {1, 40, 1},
                                         {1},
                                         {},
                                         {130, 40, 1},
                                         {130, 1, 250}}) {
    SCOPED_TRACE(::testing::PrintToString(bias));
    const v1::Tensor x = TensorOf(v1::DTYPE_FLOAT32, shape);
    v1::ForwardRequest forward;
    forward.set_activation(id);
    *forward.add_inputs() = x;
    *forward.add_inputs() = TensorOf(v1::DTYPE_FLOAT32, bias);
    v1::ParameterValue& slope = *forward.add_parameters();
    slope.set_name("slope");
    *slope.mutable_tensor()->mutable_tensor() =
        TensorOf(v1::DTYPE_FLOAT32, {40});
    slope.mutable_tensor()->set_axis(1);
    v1::BackwardRequest backward;
    backward.set_activation(id);
    *backward.mutable_inputs() = forward.inputs();
    *backward.mutable_parameters() = forward.parameters();
    *backward.mutable_grad_output() = x;
    backward.add_wrt("x");
    BothWays both(*stub_);
    both.Add(x);
    both.Add(forward.inputs(1));
    both.Add(slope.tensor().tensor());
    both.Forward(forward);
    both.Add(x);
    both.Backward(backward);
    // As one piece.
    backward.add_wrt("slope");
    backward.add_wrt("bias");
    both.Backward(backward);
  }
}

TEST_F(StreamBitsTest, OfOneTensorThatHoldsAllInputs) {
  v1::ForwardRequest request;
  request.set_activation("glu");
  request.set_split_axis(-1);
  *request.add_inputs() = TensorOf(v1::DTYPE_FLOAT32, {3000, 700});
  BothWays both(*stub_);
  both.Add(request.inputs(0));
  both.Forward(request);
}

TEST_F(StreamBitsTest, OfRandomNumbers) {
  const std::string id =
      IdOf("def noisy(x, seed=7):\n    return x + 0.1 * uniform(seed, 1)\n");
  v1::ForwardRequest request;
  request.set_activation(id);
  request.set_element_offset(123456789);
  *request.add_inputs() = TensorOf(v1::DTYPE_FLOAT32, {kMany});
  BothWays both(*stub_);
  both.Add(request.inputs(0));
  both.Forward(request);
}

}  // namespace
}  // namespace actserve
