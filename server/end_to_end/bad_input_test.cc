// What a client can do wrong, and the clear answer that it gets. Every row
// also shows that the server serves on.

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "server/end_to_end/server_test.h"

namespace actserve::testing {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;

constexpr char kForwardMethod[] = "/actserve.v1.ActivationService/Forward";

class BadInput : public ServerTest {
 protected:
  static void SetUpTestSuite() {
    StartServer({"--device=cpu", "--max_message_bytes=1048576",
                 "--max_residual_bytes=100000"});
  }
  // Still the same process, and right.
  void TearDown() override {
    v1::ForwardResponse response;
    const grpc::Status status =
        Forward(*stub_, ForwardOf("relu", {-1, 2}), &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.payload(0), BytesOf<float>({0, 2}));
  }
};

TEST_F(BadInput, ForwardIsRefused) {
  using Request = v1::ForwardRequest;
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const auto shape = [](std::vector<int64_t> dimensions) {
    return [dimensions](Request& r) {
      *r.mutable_inputs(0) = TensorOf(v1::DTYPE_FLOAT32, dimensions);
    };
  };
  const auto parameter = [](std::string name, double value) {
    return [name, value](Request& r) {
      r.set_activation("leaky_relu");
      SetParameter(name, value, r.mutable_parameters());
    };
  };
  const auto tangent = [](std::string name) {
    return [name](Request& r) {
      v1::NamedValue& value = *r.add_tangents();
      value.set_name(name);
      *value.mutable_tensor() = r.inputs(0);
      r.add_payload(r.payload(0));
    };
  };
  struct Case {
    std::string name;
    std::function<void(Request&)> spoil;  // a valid Forward of relu on [1, 2]
    StatusCode code;
    std::string message;
  };
  const Case cases[] = {
      {"no activation", [](Request& r) { r.clear_activation(); },
       StatusCode::INVALID_ARGUMENT, "activation: not set"},
      {"unknown activation", [](Request& r) { r.set_activation("gleu"); },
       StatusCode::NOT_FOUND, "activation 'gleu' is not known"},
      {"hostile activation",
       [](Request& r) { r.set_activation("../../etc\n%s\x01"); },
       StatusCode::NOT_FOUND, "'../../etc\\n%s\\x01'"},
      {"no input",
       [](Request& r) {
         r.clear_inputs();
         r.clear_payload();
       },
       StatusCode::INVALID_ARGUMENT, "inputs: 0 tensors, but relu takes 1: x"},
      {"two inputs",
       [](Request& r) {
         *r.add_inputs() = r.inputs(0);
         r.add_payload(r.payload(0));
       },
       StatusCode::INVALID_ARGUMENT, "inputs: 2 tensors, but relu takes 1: x"},
      {"no payload", [](Request& r) { r.clear_payload(); },
       StatusCode::INVALID_ARGUMENT,
       "payload: given 0 times, but the inputs need 1"},
      {"two payloads", [](Request& r) { r.add_payload(""); },
       StatusCode::INVALID_ARGUMENT,
       "payload: given 2 times, but the inputs need 1"},
      {"many payloads",
       [](Request& r) {
         for (int i = 0; i < 1000; ++i) r.add_payload("");
       },
       StatusCode::INVALID_ARGUMENT, "more than 9 payloads"},
      {"no dtype", [](Request& r) { r.mutable_inputs(0)->clear_dtype(); },
       StatusCode::INVALID_ARGUMENT, "inputs[0]: dtype is not set"},
      {"a dtype of the future",
       [](Request& r) {
         r.mutable_inputs(0)->set_dtype(static_cast<v1::DType>(77));
       },
       StatusCode::INVALID_ARGUMENT, "inputs[0]: dtype 77 is not known"},
      {"negative dimension", shape({2, -1}), StatusCode::INVALID_ARGUMENT,
       "inputs[0]: shape [2, -1]: dimension 1 is negative"},
      {"product overflows", shape({kMax, kMax}), StatusCode::INVALID_ARGUMENT,
       "too many elements, limit 1073741824"},
      {"product wraps to 2", shape({int64_t{1} << 62, 4, 2}),
       StatusCode::INVALID_ARGUMENT, "too many elements, limit 1073741824"},
      {"overflow hidden by a zero", shape({0, kMax, kMax}),
       StatusCode::INVALID_ARGUMENT,
       "beside 0 multiply to too much, limit 1073741824"},
      {"no element, but a large dimension", shape({0, int64_t{1} << 40}),
       StatusCode::INVALID_ARGUMENT,
       "inputs[0]: shape [0, 1099511627776]: the dimensions beside 0 multiply "
       "to too much, limit 1073741824"},
      {"rank", shape(std::vector<int64_t>(9, 1)), StatusCode::INVALID_ARGUMENT,
       "inputs[0]: rank 9, limit 8"},
      {"rank of thousands", shape(std::vector<int64_t>(5000, 1)),
       StatusCode::INVALID_ARGUMENT, "rank 5000, limit 8"},
      {"bytes for more", shape({3}), StatusCode::INVALID_ARGUMENT,
       "inputs[0]: payload of 8 bytes, but shape [3] of float32 needs 12"},
      {"bytes for less", shape({}), StatusCode::INVALID_ARGUMENT,
       "inputs[0]: payload of 8 bytes, but shape [] of float32 needs 4"},
      {"bytes that are no elements",
       [](Request& r) { r.mutable_payload(0)->pop_back(); },
       StatusCode::INVALID_ARGUMENT, "payload of 7 bytes"},
      {"unknown parameter", parameter("slop", 1), StatusCode::INVALID_ARGUMENT,
       "parameters: 'slop' is not a parameter of leaky_relu"},
      {"NaN parameter", parameter("negative_slope", std::nan("")),
       StatusCode::INVALID_ARGUMENT, "is nan, not a finite number"},
      {"infinite parameter", parameter("negative_slope", -INFINITY),
       StatusCode::INVALID_ARGUMENT, "is -inf, not a finite number"},
      {"repeated parameter",
       [&](Request& r) {
         parameter("negative_slope", 1)(r);
         parameter("negative_slope", 1)(r);
       },
       StatusCode::INVALID_ARGUMENT, "is given more than once"},
      {"parameter without value",
       [&](Request& r) {
         parameter("negative_slope", 1)(r);
         r.mutable_parameters(0)->clear_scalar();
       },
       StatusCode::INVALID_ARGUMENT, "has no value"},
      {"unknown partial", [](Request& r) { r.add_partials("y"); },
       StatusCode::INVALID_ARGUMENT, "partials: 'y' is not one of x"},
      {"repeated partial",
       [](Request& r) {
         r.add_partials("x");
         r.add_partials("x");
       },
       StatusCode::INVALID_ARGUMENT, "partials: 'x' is given more than once"},
      {"partial by a parameter",
       [](Request& r) {
         r.set_activation("leaky_relu");
         r.add_partials("negative_slope");
       },
       StatusCode::INVALID_ARGUMENT, "is not one of x"},
      {"tangent of an unknown name", tangent("z"), StatusCode::INVALID_ARGUMENT,
       "tangents: 'z' is not one of x"},
      {"repeated tangent",
       [&](Request& r) {
         tangent("x")(r);
         tangent("x")(r);
       },
       StatusCode::INVALID_ARGUMENT, "tangents: 'x' is given more than once"},
      {"tangent of another shape",
       [&](Request& r) {
         tangent("x")(r);
         *r.mutable_tangents(0)->mutable_tensor() =
             TensorOf(v1::DTYPE_FLOAT32, {2, 1});
       },
       StatusCode::INVALID_ARGUMENT,
       "tangents: 'x': shape [2, 1] differs from [2] of the inputs"},
      {"tangent without payload",
       [&](Request& r) {
         tangent("x")(r);
         r.mutable_payload()->RemoveLast();
       },
       StatusCode::INVALID_ARGUMENT,
       "payload: given 1 times, but the inputs and tangents need 2"},
      {"number for an input",
       [&](Request& r) {
         tangent("x")(r);
         r.mutable_tangents(0)->set_scalar(1);
         r.mutable_payload()->RemoveLast();
       },
       StatusCode::INVALID_ARGUMENT,
       "tangents: 'x' is an input, and has no tensor"},
      {"tensor for a parameter",
       [&](Request& r) {
         r.set_activation("leaky_relu");
         tangent("negative_slope")(r);
       },
       StatusCode::INVALID_ARGUMENT,
       "tangents: 'negative_slope' is a parameter, and has no scalar"},
      {"partials and tangents",
       [&](Request& r) {
         tangent("x")(r);
         r.add_partials("x");
       },
       StatusCode::INVALID_ARGUMENT, "partials: given together with tangents"},
      {"residual and tangents",
       [&](Request& r) {
         tangent("x")(r);
         r.set_keep_residual(true);
       },
       StatusCode::INVALID_ARGUMENT,
       "keep_residual: given together with tangents"},
      {"lease of nothing",
       [](Request& r) {
         r.set_keep_residual(true);
         r.mutable_residual_lease();
       },
       StatusCode::INVALID_ARGUMENT, "residual_lease: 0 is not positive"},
      {"lease of less",
       [](Request& r) {
         r.set_keep_residual(true);
         r.mutable_residual_lease()->set_seconds(-5);
       },
       StatusCode::INVALID_ARGUMENT, "residual_lease: -5s is not positive"},
      {"lease of a malformed second",
       [](Request& r) {
         r.set_keep_residual(true);
         r.mutable_residual_lease()->set_seconds(5);
         r.mutable_residual_lease()->set_nanos(-1);
       },
       StatusCode::INVALID_ARGUMENT, "residual_lease: nanos: -1"},
      {"lease of more than a second's nanoseconds",
       [](Request& r) {
         r.set_keep_residual(true);
         r.mutable_residual_lease()->set_nanos(1'000'000'000);
       },
       StatusCode::INVALID_ARGUMENT, "residual_lease: nanos: 1000000000"},
      {"metadata over the limit",
       [](Request& r) { r.set_activation(std::string(70'000, 'a')); },
       StatusCode::INVALID_ARGUMENT,
       "more than 65536 bytes beside its payloads"},
      {"message over the limit",
       [](Request& r) {
         *r.mutable_inputs(0) = TensorOf(v1::DTYPE_FLOAT32, {300'000});
         r.set_payload(0, std::string(1'200'000, '\0'));
       },
       StatusCode::RESOURCE_EXHAUSTED, "larger than max"},
      {"response over the limit",
       [](Request& r) {
         *r.mutable_inputs(0) = TensorOf(v1::DTYPE_FLOAT32, {200'000});
         r.set_payload(0, std::string(800'000, '\0'));
         r.add_partials("x");
       },
       StatusCode::INVALID_ARGUMENT,
       "response: 2 tensors of 800000 bytes, limit 1032192"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Request request = ForwardOf("relu", {1, 2});
    c.spoil(request);
    v1::ForwardResponse response;

    const grpc::Status status = Forward(*stub_, request, &response);

    EXPECT_EQ(status.error_code(), c.code) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(c.message));
    EXPECT_EQ(ReasonOf(status),
              c.code == StatusCode::NOT_FOUND ? "ACTIVATION_UNKNOWN" : "");
  }
}

TEST_F(BadInput, InputsThatDifferAreRefused) {
  const std::string id = IdOf("def add(x, y):\n    return x + y\n");
  v1::ForwardRequest request = ForwardOf(id, {1, 2});
  *request.add_inputs() = TensorOf(v1::DTYPE_FLOAT64, {2});
  request.add_payload(BytesOf<double>({1, 2}));
  v1::ForwardResponse response;

  EXPECT_EQ(Forward(*stub_, request, &response).error_message(),
            "inputs[1]: dtype float64 differs from float32 of inputs[0]");

  *request.mutable_inputs(1) = TensorOf(v1::DTYPE_FLOAT32, {1, 2});
  request.set_payload(1, request.payload(0));
  EXPECT_EQ(Forward(*stub_, request, &response).error_message(),
            "inputs[1]: shape [1, 2] differs from [2] of inputs[0]");
}

TEST_F(BadInput, BackwardIsRefused) {
  using Request = v1::BackwardRequest;
  v1::ForwardRequest forward = ForwardOf("relu", {1, 2});
  forward.set_keep_residual(true);
  v1::ForwardResponse forward_response;
  ASSERT_TRUE(Forward(*stub_, forward, &forward_response).ok());
  const std::string handle = forward_response.residual().handle();
  const auto by_residual = [&](Request& r) {
    r.clear_inputs();
    r.mutable_payload()->DeleteSubrange(0, 1);
    r.set_residual(handle);
  };
  struct Case {
    std::string name;
    std::function<void(Request&)> spoil;  // a valid Backward of relu
    StatusCode code;
    std::string message;
    std::string reason;
  };
  const Case cases[] = {
      {"grad_output of another shape",
       [](Request& r) {
         *r.mutable_grad_output() = TensorOf(v1::DTYPE_FLOAT32, {1, 2});
       },
       StatusCode::INVALID_ARGUMENT,
       "grad_output: shape [1, 2] differs from [2] of the inputs", ""},
      {"grad_output of another dtype",
       [](Request& r) {
         *r.mutable_grad_output() = TensorOf(v1::DTYPE_FLOAT16, {4});
       },
       StatusCode::INVALID_ARGUMENT,
       "grad_output: dtype float16 differs from float32 of the inputs", ""},
      {"grad_output of no dtype",
       [](Request& r) { r.mutable_grad_output()->clear_dtype(); },
       StatusCode::INVALID_ARGUMENT, "grad_output: dtype is not set", ""},
      {"grad_output of other bytes",
       [](Request& r) { r.mutable_payload(1)->push_back('x'); },
       StatusCode::INVALID_ARGUMENT, "grad_output: payload of 9 bytes", ""},
      {"grad_output without payload",
       [](Request& r) { r.mutable_payload()->RemoveLast(); },
       StatusCode::INVALID_ARGUMENT,
       "payload: given 1 times, but the inputs and grad_output need 2", ""},
      {"payload without grad_output", [](Request& r) { r.clear_grad_output(); },
       StatusCode::INVALID_ARGUMENT,
       "payload: given 2 times, but the inputs and grad_output need 1", ""},
      {"neither inputs nor residual",
       [](Request& r) {
         r.clear_inputs();
         r.mutable_payload()->RemoveLast();
       },
       StatusCode::INVALID_ARGUMENT, "neither these nor a residual", ""},
      {"inputs and residual", [&](Request& r) { r.set_residual(handle); },
       StatusCode::INVALID_ARGUMENT, "inputs: given together with a residual",
       ""},
      {"parameters and residual",
       [&](Request& r) {
         by_residual(r);
         SetParameter("a", 1, r.mutable_parameters());
       },
       StatusCode::INVALID_ARGUMENT,
       "parameters: given together with a residual", ""},
      {"short handle",
       [&](Request& r) {
         by_residual(r);
         r.set_residual("short");
       },
       StatusCode::INVALID_ARGUMENT, "handle of 5 bytes, must be 16", ""},
      {"unknown handle",
       [&](Request& r) {
         by_residual(r);
         r.set_residual(std::string(16, 'x'));
       },
       StatusCode::NOT_FOUND, "no such handle", "RESIDUAL_GONE"},
      {"residual of another activation",
       [&](Request& r) {
         by_residual(r);
         r.set_activation("gelu");
       },
       StatusCode::INVALID_ARGUMENT, "'gelu' is not that of the residual", ""},
      {"grad_output of another shape than the residual",
       [&](Request& r) {
         by_residual(r);
         *r.mutable_grad_output() = TensorOf(v1::DTYPE_FLOAT32, {1});
         r.set_payload(0, BytesOf<float>({1}));
       },
       StatusCode::INVALID_ARGUMENT, "grad_output: shape [1] differs", ""},
      {"unknown activation", [](Request& r) { r.set_activation("gleu"); },
       StatusCode::NOT_FOUND, "'gleu'", "ACTIVATION_UNKNOWN"},
      {"unknown wrt", [](Request& r) { r.add_wrt("z"); },
       StatusCode::INVALID_ARGUMENT, "wrt: 'z' is not one of x", ""},
      {"repeated wrt",
       [](Request& r) {
         r.add_wrt("x");
         r.add_wrt("x");
       },
       StatusCode::INVALID_ARGUMENT, "wrt: 'x' is given more than once", ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Request request = BackwardOf("relu", {1, 2}, {1, 1});
    c.spoil(request);
    v1::BackwardResponse response;

    const grpc::Status status = Backward(*stub_, request, &response);

    EXPECT_EQ(status.error_code(), c.code) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(c.message));
    EXPECT_EQ(ReasonOf(status), c.reason);
  }
}

TEST_F(BadInput, SecondOrderIsRefused) {
  using Request = v1::BackwardRequest;
  const std::string id = IdOf(
      "def f(x, a=1.0):\n    return x\n\n"
      "def f_grad(x, dy):\n    return dy * x\n");
  struct Case {
    std::string name;
    std::function<void(Request&)> spoil;  // a valid one of leaky_relu
    std::string message;
  };
  const Case cases[] = {
      {"order 0", [](Request& r) { r.set_order(0); },
       "order: 0, must be 1 or 2"},
      {"order 3", [](Request& r) { r.set_order(3); },
       "order: 3, must be 1 or 2"},
      {"negative order", [](Request& r) { r.set_order(-2); },
       "order: -2, must be 1 or 2"},
      {"cotangents of the first order", [](Request& r) { r.set_order(1); },
       "cotangents: given with order 1"},
      {"cotangents without an order", [](Request& r) { r.clear_order(); },
       "cotangents: given with order 1"},
      {"no cotangent",
       [](Request& r) {
         r.clear_cotangents();
         r.mutable_payload()->RemoveLast();
       },
       "cotangents: none given, order 2 needs one"},
      {"a name of no gradient",
       [](Request& r) { r.mutable_cotangents(0)->set_name("z"); },
       "cotangents: 'z' is not one of x, negative_slope"},
      {"a cotangent of grad_output",
       [](Request& r) { r.mutable_cotangents(0)->set_name("dL/dy"); },
       "cotangents: 'dL/dy' is not one of x, negative_slope"},
      {"two of one name",
       [](Request& r) { r.mutable_cotangents(1)->set_name("x"); },
       "cotangents: 'x' is given more than once"},
      {"another shape",
       [](Request& r) {
         *r.mutable_cotangents(0)->mutable_tensor() =
             TensorOf(v1::DTYPE_FLOAT32, {1, 2});
       },
       "cotangents: 'x': shape [1, 2] differs from [2] of the inputs"},
      {"another dtype",
       [](Request& r) {
         *r.mutable_cotangents(0)->mutable_tensor() =
             TensorOf(v1::DTYPE_BFLOAT16, {2});
       },
       "cotangents: 'x': dtype bfloat16 differs from float32 of the inputs"},
      {"other bytes", [](Request& r) { r.mutable_payload(2)->pop_back(); },
       "cotangents: 'x': payload of 7 bytes"},
      {"no payload", [](Request& r) { r.mutable_payload()->RemoveLast(); },
       "payload: given 2 times, but the inputs, grad_output and cotangents "
       "need 3"},
      {"a number for an input",
       [](Request& r) {
         r.mutable_cotangents(0)->set_scalar(1);
         r.mutable_payload()->RemoveLast();
       },
       "cotangents: 'x' is an input, and has no tensor"},
      {"no value for a parameter",
       [](Request& r) { r.mutable_cotangents(1)->clear_scalar(); },
       "cotangents: 'negative_slope' is a parameter, and has no scalar"},
      {"unknown wrt", [](Request& r) { r.add_wrt("dy"); },
       "wrt: 'dy' is not one of x, negative_slope, dL/dy"},
      {"repeated wrt",
       [](Request& r) {
         r.add_wrt("dL/dy");
         r.add_wrt("dL/dy");
       },
       "wrt: 'dL/dy' is given more than once"},
      {"grad_output at order 1",
       [](Request& r) {
         r.clear_order();
         r.clear_cotangents();
         r.mutable_payload()->RemoveLast();
         r.add_wrt("dL/dy");
       },
       "wrt: 'dL/dy' is not one of x, negative_slope"},
      {"what a declared gradient leaves out",
       [&](Request& r) {
         r.set_activation(id);
         r.mutable_cotangents(1)->set_name("a");
       },
       "cotangents 'a': the gradient that f declares covers x only"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Request request = BackwardOf("leaky_relu", {1, 2}, {1, 1});
    request.set_order(2);
    v1::NamedValue& of_x = *request.add_cotangents();
    of_x.set_name("x");
    *of_x.mutable_tensor() = request.inputs(0);
    request.add_payload(request.payload(0));
    v1::NamedValue& of_slope = *request.add_cotangents();
    of_slope.set_name("negative_slope");
    of_slope.set_scalar(1);
    v1::BackwardResponse response;
    ASSERT_TRUE(Backward(*stub_, request, &response).ok());
    c.spoil(request);

    const grpc::Status status = Backward(*stub_, request, &response);

    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr(c.message));
  }
}

TEST_F(BadInput, AnExpiredResidualIsGone) {
  v1::ForwardRequest forward = ForwardOf("relu", {1});
  forward.set_keep_residual(true);
  forward.mutable_residual_lease()->set_nanos(1);
  v1::ForwardResponse y;
  ASSERT_TRUE(Forward(*stub_, forward, &y).ok());

  v1::BackwardResponse dx;
  const grpc::Status status =
      Backward(*stub_, BackwardOf(y.residual(), {1}), &dx);

  EXPECT_EQ(status.error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOf(status), "RESIDUAL_GONE");
}

TEST_F(BadInput, WithoutRoomThereIsNoResidualAndNoError) {
  v1::ForwardRequest forward = ForwardOf("relu", std::vector<float>(30'000, 1));
  forward.set_keep_residual(true);

  v1::ForwardResponse y;
  ASSERT_TRUE(Forward(*stub_, forward, &y).ok());

  EXPECT_FALSE(y.has_residual());
}

TEST_F(BadInput, BytesThatAreNoMessageAreRefused) {
  const std::string valid = ForwardOf("relu", {1, 2}).SerializeAsString();
  struct Case {
    std::string name;
    std::string bytes;
    std::string message;
  };
  const Case cases[] = {
      {"text", "GET / HTTP/1.1", "not a valid protobuf message"},
      {"cut off", valid.substr(0, valid.size() - 1), "bad length of payload"},
      {"activation twice", valid + "\x0a\x04gelu",
       "activation: given more than once"},
      {"a name that is not UTF-8", "\x0a\x02\xff\xff",
       "not a valid protobuf message"},
      {"deeply nested groups", std::string(60'000, '\x0b'),
       "bad depth of groups"},
      {"a length of 2 GiB", "\x7a\xff\xff\xff\xff\x07",
       "bad length of payload"},
      {"nothing", "", "activation: not set"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const grpc::Status status = CallRaw(channel_, kForwardMethod, c.bytes);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr(c.message));
  }
}

TEST_F(BadInput, UnknownFieldsAreSkipped) {
  const std::string bytes =
      ForwardOf("relu", {1, 2}).SerializeAsString() + "\xa2\x06\x03zzz";
  EXPECT_TRUE(CallRaw(channel_, kForwardMethod, bytes).ok());
}

TEST_F(BadInput, TextsAreRefusedWithPositions) {
  std::string nested = "def f(x):\n    return ";
  for (int i = 0; i < 3000; ++i) nested += "(";
  std::string parameters = "def f(x";
  for (int i = 0; i < 40; ++i) absl::StrAppend(&parameters, ", p", i, "=1");
  std::string heavy = "def f(x):\n";
  for (int i = 0; i < 800; ++i) absl::StrAppend(&heavy, "    x = exp(x)\n");
  struct Case {
    std::string name;
    std::string text;
    int line;
    int column;
    std::string message;
  };
  const Case cases[] = {
      {"syntax", "def f(x):\n    return x +\n", 2, 0, ""},
      {"unknown name", "def f(x):\n    return sigmoyd(x)\n", 2, 12, "sigmoid"},
      {"not a function", "x = 1\n", 1, 0, ""},
      {"recursion", "def f(x):\n    return f(x)\n", 2, 12, ""},
      {"import", "def f(x):\n    import os\n    return x\n", 2, 12, ""},
      {"attack", "def f(x):\n    return x.__class__\n", 2, 0, ""},
      {"nesting", nested, 2, 0, "64"},
      {"length", "def f(x):\n    return x\n" + std::string(20'000, '#'), 1, 0,
       "16384"},
      {"parameters", parameters + "):\n    return x\n", 1, 0, "32"},
      {"inputs", "def f(a, b, c, d, e):\n    return a\n", 1, 0, "4"},
      {"weight", heavy + "    return x\n", 0, 0, "10000"},
      {"no return", "def f(x):\n    if x > 0:\n        return x\n", 0, 0, ""},
      {"NUL", std::string("def f(x):\n    return x\0\n", 25), 2, 0, ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    v1::RegisterActivationResponse response;

    const grpc::Status status = Register(*stub_, c.text, &response);

    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    const v1::Diagnostics diagnostics = DiagnosticsOf(status);
    ASSERT_GT(diagnostics.diagnostics_size(), 0) << status.error_message();
    const v1::Diagnostic& first = diagnostics.diagnostics(0);
    EXPECT_EQ(first.severity(), v1::Diagnostic::ERROR);
    if (c.line > 0) {
      EXPECT_EQ(first.line(), c.line) << first.message();
    }
    if (c.column > 0) {
      EXPECT_EQ(first.column(), c.column) << first.message();
    }
    EXPECT_THAT(status.error_message(), HasSubstr(c.message));
  }
}

TEST_F(BadInput, ConstantsMustBeFinite) {
  v1::RegisterActivationRequest request;
  request.set_text("def f(x):\n    return c * x\n");
  (*request.mutable_constants())["c"] = INFINITY;
  v1::RegisterActivationResponse response;

  const grpc::Status status = Register(*stub_, request, &response);

  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(),
            "constants: 'c' is inf, not a finite number");
}

TEST_F(BadInput, GetActivationKnowsWhatItDoesNotKnow) {
  v1::GetActivationRequest request;
  v1::Activation response;
  grpc::ClientContext first, second;
  EXPECT_EQ(stub_->GetActivation(&first, request, &response).error_code(),
            StatusCode::INVALID_ARGUMENT);

  request.set_activation("gleu");
  const grpc::Status status = stub_->GetActivation(&second, request, &response);
  EXPECT_EQ(status.error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOf(status), "ACTIVATION_UNKNOWN");
}

// By this trailer clients tell it from an error of gRPC or of a proxy.
TEST_F(BadInput, EveryErrorSaysThatTheServerAnswered) {
  struct Case {
    const char* name;
    std::function<grpc::Status(grpc::ClientContext*)> call;
  };
  v1::ForwardResponse forward;
  v1::BackwardResponse backward;
  v1::RegisterActivationResponse registration;
  v1::Activation activation;
  const Case cases[] = {
      {"Forward", [&](auto* c) { return stub_->Forward(c, {}, &forward); }},
      {"Backward", [&](auto* c) { return stub_->Backward(c, {}, &backward); }},
      {"RegisterActivation",
       [&](auto* c) {
         return stub_->RegisterActivation(c, {}, &registration);
       }},
      {"GetActivation",
       [&](auto* c) { return stub_->GetActivation(c, {}, &activation); }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    grpc::ClientContext context;

    EXPECT_EQ(c.call(&context).error_code(), StatusCode::INVALID_ARGUMENT);

    EXPECT_EQ(context.GetServerTrailingMetadata().count("actserve-answered"),
              1u);
  }
}

TEST_F(BadInput, ACompressedRequestIsRefused) {
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  v1::ForwardResponse response;

  const grpc::Status status = stub_->Forward(
      &context, ForwardOf("relu", std::vector<float>(100'000)), &response);

  EXPECT_EQ(status.error_code(), StatusCode::UNIMPLEMENTED);
}

// gRPC logs each of them as an error.
TEST_F(BadInput, CompressedRequestsDoNotFloodTheLog) {
  const auto num_lines = [] {
    return std::ranges::count_if(server_->log(), [](const std::string& line) {
      return absl::StrContains(line, "\"event\":\"grpc\"");
    });
  };
  const auto before = num_lines();
  const absl::Time start = absl::Now();
  for (int i = 0; i < 500; ++i) {
    grpc::ClientContext context;
    context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    v1::ForwardResponse response;
    EXPECT_EQ(stub_->Forward(&context, ForwardOf("relu", {1}), &response)
                  .error_code(),
              StatusCode::UNIMPLEMENTED);
  }
  const auto seconds = absl::ToInt64Seconds(absl::Now() - start);

  EXPECT_LE(num_lines() - before, 10 * (seconds + 2));
}

TEST_F(BadInput, ADeadlineInThePastIsExceeded) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() -
                       std::chrono::seconds(1));
  v1::ForwardResponse response;

  EXPECT_EQ(
      stub_->Forward(&context, ForwardOf("relu", {1}), &response).error_code(),
      StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(BadInput, ClientsThatVanishLeaveTheServerWell) {
  const v1::ForwardRequest request =
      ForwardOf("gelu", std::vector<float>(250'000, 1));
  for (int i = 0; i < 100; ++i) {
    auto channel = ChannelTo(server_->tcp_address());
    auto stub = v1::ActivationService::NewStub(channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::microseconds(100 * i));
    v1::ForwardResponse response;
    const grpc::Status status = stub->Forward(&context, request, &response);
    if (!status.ok()) {
      EXPECT_EQ(status.error_code(), StatusCode::DEADLINE_EXCEEDED);
    }
  }
}

TEST_F(BadInput, AConnectionThatDiesInTheMiddleOfARequestIsForgotten) {
  const std::string& address = server_->tcp_address();
  sockaddr_in peer = {};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(std::stoi(address.substr(address.rfind(':') + 1)));
  inet_pton(AF_INET, "127.0.0.1", &peer.sin_addr);
  // HTTP/2: the preface, empty settings, and a header frame cut off.
  const std::string bytes = std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") +
                            std::string("\0\0\0\4\0\0\0\0\0", 9) +
                            std::string("\0\0\x50\1\4\0\0\0\1", 9) + "half";
  for (int i = 0; i < 20; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&peer), sizeof(peer)), 0);
    EXPECT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    close(fd);
  }
}

}  // namespace
}  // namespace actserve::testing
