// The refusals of request.h are rows of bad_input_test; here are its promises
// on what it accepts, however the bytes came about.

#include "server/message/request.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "actserve/v1/service.pb.h"
#include "google/protobuf/stubs/logging.h"
#include "server/testing/fake_clock.h"

namespace actserve {
namespace {

using google::protobuf::RepeatedPtrField;

class RequestTest : public testing::Test {
 protected:
  RequestTest() {
    registry_ = *Registry::Create({});
    limits_.message_bytes = 1 << 20;
    limits_.default_lease = absl::Minutes(1);
    limits_.max_lease = absl::Minutes(10);
  }

  // `bytes` must outlive the result.
  template <typename Message>
  absl::StatusOr<DecodedRequest> Decode(const std::string& bytes) {
    const Fragment fragment = {reinterpret_cast<const std::byte*>(bytes.data()),
                               bytes.size()};
    const absl::Status status = Split({&fragment, 1}, limits_.split, &split_);
    if (!status.ok()) return status;
    if constexpr (std::is_same_v<Message, v1::ForwardRequest>) {
      return DecodeForward(split_, limits_, *registry_);
    } else {
      return DecodeBackward(split_, limits_, *registry_, residuals_);
    }
  }

  std::unique_ptr<Registry> registry_;
  FakeClock clock_;
  Residuals residuals_{{}, &clock_};
  RequestLimits limits_;
  SplitRequest split_;
};

std::string TextOf(absl::Span<const Fragment> fragments) {
  std::string text;
  for (const Fragment& fragment : fragments) {
    text.append(reinterpret_cast<const char*>(fragment.data),
                fragment.size_bytes);
  }
  return text;
}

v1::BackwardRequest SampleRequest() {
  v1::BackwardRequest request;
  request.set_activation("leaky_relu");
  v1::Tensor& x = *request.add_inputs();
  x.set_dtype(v1::DTYPE_FLOAT16);
  x.add_shape(2);
  x.add_shape(1);
  v1::ParameterValue& slope = *request.add_parameters();
  slope.set_name("negative_slope");
  slope.set_scalar(0.5);
  for (const char* name : {"negative_slope", "x"}) request.add_wrt(name);
  request.add_payload("abcd");
  return request;
}

TEST_F(RequestTest, VariablesKeepTheirOrderAndTheProgramDoesNot) {
  const std::string bytes = SampleRequest().SerializeAsString();

  const auto request = Decode<v1::BackwardRequest>(bytes);

  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->request.variables, (std::vector<int>{1, 0}));
  EXPECT_EQ(request->request.program.variables, 0b11);
  EXPECT_EQ(request->request.program.dtype, DType::kFloat16);
  EXPECT_EQ(request->request.parameters, std::vector<double>{0.5});
}

// A request for a function that reads rows, of the shape [2, 3, 4].
v1::ForwardRequest RequestOfRows(Registry& registry) {
  Registry::Text text;
  text.text = "def f(x):\n    return x - rowmax(x)\n";
  const auto registered = registry.Register(text, nullptr);
  EXPECT_TRUE(registered.ok()) << registered.status();
  v1::ForwardRequest request;
  request.set_activation(registered->activation->id());
  v1::Tensor& x = *request.add_inputs();
  x.set_dtype(v1::DTYPE_FLOAT32);
  for (const int dimension : {2, 3, 4}) x.add_shape(dimension);
  request.add_payload(std::string(96, '\0'));
  return request;
}

TEST_F(RequestTest, RowsRunAlongTheAxis) {
  v1::ForwardRequest request = RequestOfRows(*registry_);
  const struct {
    int axis, size, stride;
  } kCases[] = {{0, 2, 12}, {1, 3, 4},  {2, 4, 1},
                {-1, 4, 1}, {-2, 3, 4}, {-3, 2, 12}};
  for (const auto& at : kCases) {
    request.set_axis(at.axis);
    const std::string bytes = request.SerializeAsString();
    const auto decoded = Decode<v1::ForwardRequest>(bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->request.rows().size, at.size);
    EXPECT_EQ(decoded->request.rows().stride, at.stride);
  }
}

TEST_F(RequestTest, RefusesAnAxisThatIsNone) {
  v1::ForwardRequest request = RequestOfRows(*registry_);
  const auto message = [&](const v1::ForwardRequest& of) {
    const std::string bytes = of.SerializeAsString();
    return std::string(Decode<v1::ForwardRequest>(bytes).status().message());
  };

  EXPECT_EQ(message(request), "axis: not set, but f reads rows");
  request.set_axis(3);
  EXPECT_EQ(message(request),
            "axis: 3, but the inputs have the shape [2, 3, 4]: want -3 to 2");
  request.set_axis(-4);
  EXPECT_EQ(message(request),
            "axis: -4, but the inputs have the shape [2, 3, 4]: want -3 to 2");
  request.set_axis(0);
  request.add_partials("x");
  EXPECT_EQ(message(request),
            "partials: an element of the result of f depends on its whole row, "
            "so there are none");
  request.clear_partials();
  request.mutable_inputs(0)->clear_shape();
  request.set_payload(0, std::string(4, '\0'));
  EXPECT_EQ(message(request),
            "axis: 0, but the inputs have the shape [], without an axis");
  request.set_activation("gelu");
  EXPECT_EQ(message(request), "axis: 0 given, but gelu reads no rows");
}

// A request of the contract's first version, byte by byte.
TEST_F(RequestTest, WithoutTheNewFieldsABackwardIsOfTheFirstOrder) {
  const std::string bytes(
      "\x0a\x0aleaky_relu"            // activation
      "\x1a\x05\x08\x03\x12\x01\x02"  // inputs[0]: float32, [2]
      "\x2a\x05\x08\x03\x12\x01\x02"  // grad_output
      "\x32\x01x"                     // wrt
      "\x7a\x08xxxxXXXX"              // payload
      "\x7a\x08yyyyYYYY",
      12 + 7 + 7 + 3 + 10 + 10);

  const auto decoded = Decode<v1::BackwardRequest>(bytes);

  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ProgramKey want;
  want.activation_id = registry_->Find("leaky_relu")->id();
  want.direction = ProgramKey::Direction::kBackward;
  want.variables = 1;
  EXPECT_EQ(decoded->request.program, want);
  EXPECT_EQ(decoded->request.variables, std::vector<int>{0});
  EXPECT_EQ(decoded->request.parameters, std::vector<double>{0.01});
  ASSERT_EQ(decoded->inputs.size(), 2);
  EXPECT_EQ(TextOf(decoded->inputs[0]), "xxxxXXXX");
  EXPECT_EQ(TextOf(decoded->inputs[1]), "yyyyYYYY");
}

// A function of two inputs and two parameters, and scalars for it.
class NamedValues : public RequestTest {
 protected:
  NamedValues() {
    Registry::Text text;
    text.text = "def f(u, v, a=2.0, b=3.0):\n    return a * u * v + b\n";
    id_ = registry_->Register(text, nullptr)->activation->id();
  }

  template <typename Request>
  Request Of() const {
    Request request;
    request.set_activation(id_);
    for (const char* payload : {"uuuu", "vvvv"}) {
      request.add_inputs()->set_dtype(v1::DTYPE_FLOAT32);
      request.add_payload(payload);
    }
    return request;
  }
  static void Add(const std::string& name, double scalar,
                  RepeatedPtrField<v1::NamedValue>* to) {
    v1::NamedValue& value = *to->Add();
    value.set_name(name);
    value.set_scalar(scalar);
  }
  template <typename Request>
  static void Add(const std::string& name, const std::string& payload,
                  Request* request, RepeatedPtrField<v1::NamedValue>* to) {
    v1::NamedValue& value = *to->Add();
    value.set_name(name);
    value.mutable_tensor()->set_dtype(v1::DTYPE_FLOAT32);
    request->add_payload(payload);
  }
  static std::vector<std::string> TextsOf(const DecodedRequest& decoded) {
    std::vector<std::string> texts;
    for (const auto& input : decoded.inputs) texts.push_back(TextOf(input));
    return texts;
  }

  std::string id_;
};

TEST_F(NamedValues, OfCotangentsFollowTheActivation) {
  auto request = Of<v1::BackwardRequest>();
  request.set_order(2);
  request.mutable_grad_output()->set_dtype(v1::DTYPE_FLOAT32);
  request.add_payload("dydy");
  auto* const cotangents = request.mutable_cotangents();
  Add("b", 5, cotangents);
  Add("v", "dvdv", &request, cotangents);
  Add("a", 4, cotangents);
  Add("u", "dudu", &request, cotangents);
  for (const char* name : {"dL/dy", "a", "v"}) request.add_wrt(name);
  const std::string bytes = request.SerializeAsString();

  const auto decoded = Decode<v1::BackwardRequest>(bytes);

  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(TextsOf(*decoded),
            (std::vector<std::string>{"uuuu", "vvvv", "dydy", "dudu", "dvdv"}));
  const TensorRequest& got = decoded->request;
  EXPECT_EQ(got.parameters, (std::vector<double>{2, 3, 4, 5}));
  EXPECT_EQ(got.variables, (std::vector<int>{4, 2, 1}));
  EXPECT_EQ(got.payloads, (std::vector<int>{0, 1, 2, 4, 3}));
  EXPECT_EQ(got.program.direction, ProgramKey::Direction::kSecondOrder);
  EXPECT_EQ(got.program.cotangents, 0b1111);
  EXPECT_EQ(got.program.variables, 0b110);
  EXPECT_TRUE(got.program.wrt_grad_output);
}

TEST_F(NamedValues, OfWhatBroadcastsComeLast) {
  auto request = Of<v1::BackwardRequest>();
  request.set_order(2);
  request.mutable_inputs(1)->add_shape(2);
  request.set_payload(1, "vvvvVVVV");
  v1::ParameterValue& a = *request.add_parameters();
  a.set_name("a");
  a.mutable_tensor()->mutable_tensor()->set_dtype(v1::DTYPE_FLOAT32);
  a.mutable_tensor()->mutable_tensor()->add_shape(2);
  a.mutable_tensor()->set_axis(0);
  request.add_payload("aaaaAAAA");
  auto* const cotangents = request.mutable_cotangents();
  Add("u", "dudu", &request, cotangents);
  Add("a", "dadaDADA", &request, cotangents);
  cotangents->at(1).mutable_tensor()->add_shape(2);
  Add("v", "dvdvDVDV", &request, cotangents);
  cotangents->at(2).mutable_tensor()->add_shape(2);
  Add("b", 5, cotangents);
  const std::string bytes = request.SerializeAsString();

  const auto decoded = Decode<v1::BackwardRequest>(bytes);

  ASSERT_TRUE(decoded.ok()) << decoded.status();
  // The second input is dL/dy, of ones.
  std::vector<std::string> texts = TextsOf(*decoded);
  texts.erase(texts.begin() + 1);
  EXPECT_EQ(texts, (std::vector<std::string>{"vvvvVVVV", "dvdvDVDV", "uuuu",
                                             "aaaaAAAA", "dudu", "dadaDADA"}));
  const TensorRequest& got = decoded->request;
  EXPECT_EQ(got.payloads,
            (std::vector<int>{1, TensorRequest::kNoPayload, 5, 0, 2, 3, 4}));
  std::vector<int> variables;
  for (const BroadcastTensor& tensor : got.broadcasts) {
    variables.push_back(tensor.variable);
  }
  EXPECT_EQ(variables, (std::vector<int>{0, 2, 0, 2}));
  EXPECT_EQ(got.program.broadcasts, 0b101);
}

TEST_F(NamedValues, OfTangentsFollowTheActivation) {
  auto request = Of<v1::ForwardRequest>();
  auto* const tangents = request.mutable_tangents();
  Add("u", "dudu", &request, tangents);
  Add("v", "dvdv", &request, tangents);
  Add("b", -INFINITY, tangents);
  const std::string bytes = request.SerializeAsString();

  const auto decoded = Decode<v1::ForwardRequest>(bytes);

  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(TextsOf(*decoded),
            (std::vector<std::string>{"uuuu", "vvvv", "dudu", "dvdv"}));
  const TensorRequest& got = decoded->request;
  EXPECT_EQ(got.parameters, (std::vector<double>{2, 3, -INFINITY}));
  EXPECT_EQ(got.payloads, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(got.program.direction, ProgramKey::Direction::kTangent);
  EXPECT_EQ(got.program.variables, 0b1011);
}

// A request for a function with random numbers, of two elements.
v1::ForwardRequest RequestWithDraws(Registry& registry) {
  Registry::Text text;
  text.text =
      "def f(x, sigma=0.5, seed=1):\n    return x + sigma * normal(seed)\n";
  const auto registered = registry.Register(text, nullptr);
  EXPECT_TRUE(registered.ok());
  v1::ForwardRequest request;
  request.set_activation(registered->activation->id());
  v1::Tensor& x = *request.add_inputs();
  x.set_dtype(v1::DTYPE_FLOAT32);
  x.add_shape(2);
  v1::ParameterValue& seed = *request.add_parameters();
  seed.set_name("seed");
  seed.set_scalar(7);
  request.add_payload(std::string(8, '\0'));
  return request;
}

// A request whose one tensor of the shape [3, 4, 5] holds the inputs of glu.
v1::BackwardRequest SplitGlu(int split_axis) {
  v1::BackwardRequest request;
  request.set_activation("glu");
  v1::Tensor& x = *request.add_inputs();
  x.set_dtype(v1::DTYPE_FLOAT16);
  for (const int dimension : {3, 4, 5}) x.add_shape(dimension);
  request.set_split_axis(split_axis);
  request.add_payload(std::string(120, '\0'));
  return request;
}

TEST_F(RequestTest, OneTensorHoldsAllInputs) {
  for (const int axis : {1, -2}) {
    const std::string bytes = SplitGlu(axis).SerializeAsString();

    const auto decoded = Decode<v1::BackwardRequest>(bytes);

    ASSERT_TRUE(decoded.ok()) << decoded.status();
    const TensorRequest& request = decoded->request;
    EXPECT_EQ(request.type.shape, (std::vector<int64_t>{3, 2, 5}));
    EXPECT_EQ(request.type.num_elements, 30);
    EXPECT_EQ(request.split->Part(1),
              (TensorPart{.run = 10, .stride = 20, .offset = 10}));
    EXPECT_EQ(request.variables, std::vector<int>{0});
    EXPECT_EQ(request.program.variables, 0b11);
    EXPECT_EQ(request.TypeOf(0).shape, (std::vector<int64_t>{3, 4, 5}));
    // The tensor, and ones.
    ASSERT_EQ(decoded->inputs.size(), 2);
    EXPECT_EQ(TextOf(decoded->inputs[0]).size(), 120);
    EXPECT_EQ(TextOf(decoded->inputs[1]).size(), 60);
  }
}

TEST_F(RequestTest, RefusesASplitAxisThatIsNone) {
  const struct {
    int axis;
    const char* message;
  } kCases[] = {
      {0,
       "split_axis: 0, but inputs[0] has the shape [3, 4, 5]: 3 along that "
       "axis is not divisible by 2, the number of inputs"},
      {-4,
       "split_axis: -4, but inputs[0] has the shape [3, 4, 5]: want -3 to 2"},
      {std::numeric_limits<int>::max(),
       "split_axis: 2147483647, but inputs[0] has the shape [3, 4, 5]: want -3 "
       "to 2"},
  };
  for (const auto& test : kCases) {
    const std::string bytes = SplitGlu(test.axis).SerializeAsString();

    const absl::Status status = Decode<v1::BackwardRequest>(bytes).status();

    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(std::string(status.message()), test.message);
  }
}

// The gradient is as large as all inputs.
TEST_F(RequestTest, TheGradientOfAllInputsFitsIntoAResponse) {
  limits_.message_bytes = (16 << 10) + 119;
  const std::string bytes = SplitGlu(1).SerializeAsString();

  const absl::Status status = Decode<v1::BackwardRequest>(bytes).status();

  EXPECT_EQ(std::string(status.message()),
            "response: 2 tensors of 60 bytes, limit 119 bytes together, by "
            "--max_message_bytes");
}

TEST_F(RequestTest, ASeedIsAnIntegerOf53Bits) {
  v1::ForwardRequest request = RequestWithDraws(*registry_);
  const auto message = [&](double seed) {
    request.mutable_parameters(0)->set_scalar(seed);
    const std::string bytes = request.SerializeAsString();
    return std::string(Decode<v1::ForwardRequest>(bytes).status().message());
  };

  EXPECT_EQ(message(0x1p53), "");
  EXPECT_EQ(message(0x1p53 + 2),
            "parameters: 'seed' is 9007199254740994, but a seed is an integer "
            "from 0 to 2^53");
  EXPECT_EQ(message(-1),
            "parameters: 'seed' is -1, but a seed is an integer from 0 to "
            "2^53");
  EXPECT_EQ(message(0.5),
            "parameters: 'seed' is 0.5, but a seed is an integer from 0 to "
            "2^53");
}

TEST_F(RequestTest, ASeedIsNoTensor) {
  v1::ForwardRequest request = RequestWithDraws(*registry_);
  v1::ParameterTensor& seeds = *request.mutable_parameters(0)->mutable_tensor();
  seeds.mutable_tensor()->set_dtype(v1::DTYPE_FLOAT32);
  seeds.mutable_tensor()->add_shape(2);
  seeds.set_axis(0);
  request.add_payload(std::string(8, '\0'));
  const std::string bytes = request.SerializeAsString();

  const absl::Status status = Decode<v1::ForwardRequest>(bytes).status();

  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "parameters: 'seed' is a seed: one number, not a tensor");
}

TEST_F(RequestTest, AnElementOffsetLeavesRoomForTheElements) {
  v1::ForwardRequest request = RequestWithDraws(*registry_);
  const auto decode = [&](int64_t offset) {
    request.set_element_offset(offset);
    const std::string bytes = request.SerializeAsString();
    return Decode<v1::ForwardRequest>(bytes);
  };

  const auto last = decode(INT64_MAX - 2);
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_EQ(last->request.element_offset, INT64_MAX - 2);
  EXPECT_EQ(decode(-1).status().message(),
            "element_offset: -1, must be from 0 to 9223372036854775805 for 2 "
            "elements");
  EXPECT_EQ(decode(INT64_MAX - 1).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(RequestTest, AResidualKnowsItsElementOffset) {
  auto residual = std::make_shared<Residual>();
  residual->activation = registry_->Find("relu");
  residual->type = {DType::kFloat32, {1}, 1};
  residual->element_offset = 40;
  v1::BackwardRequest request;
  request.set_residual(residuals_.Put(residual, absl::Minutes(1)));
  const auto decode = [&](int64_t offset) {
    request.set_element_offset(offset);
    const std::string bytes = request.SerializeAsString();
    return Decode<v1::BackwardRequest>(bytes);
  };

  for (const int64_t offset : {0, 40}) {
    const auto decoded = decode(offset);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->request.element_offset, 40);
  }
  EXPECT_EQ(decode(41).status().message(),
            "element_offset: 41 is not that of the residual, 40");
}

TEST_F(RequestTest, AnAbsentUpstreamGradientIsOnes) {
  v1::BackwardRequest message = SampleRequest();
  message.mutable_inputs(0)->set_shape(0, 100'000);
  message.set_payload(0, std::string(200'000, '\0'));
  const std::string bytes = message.SerializeAsString();

  const auto request = Decode<v1::BackwardRequest>(bytes);

  ASSERT_TRUE(request.ok()) << request.status();
  size_t size_bytes = 0;
  for (const Fragment& fragment : request->inputs[1]) {
    for (size_t i = 0; i < fragment.size_bytes; i += 2) {
      ASSERT_EQ(fragment.data[i], std::byte{0x00});
      ASSERT_EQ(fragment.data[i + 1], std::byte{0x3C});
    }
    size_bytes += fragment.size_bytes;
  }
  EXPECT_EQ(size_bytes, 200'000);
}

TEST_F(RequestTest, OfHostileBytesAcceptsOnlyWhatFits) {
  const google::protobuf::LogSilencer silencer;
  const unsigned seed = std::random_device()();
  std::printf("seed %u\n", seed);
  std::mt19937_64 random(seed);
  v1::BackwardRequest with_gradient = SampleRequest();
  *with_gradient.mutable_grad_output() = with_gradient.inputs(0);
  with_gradient.add_payload("efgh");
  v1::BackwardRequest second = with_gradient;
  second.set_order(2);
  v1::NamedValue& cotangent = *second.add_cotangents();
  cotangent.set_name("x");
  *cotangent.mutable_tensor() = second.inputs(0);
  second.add_payload("ijkl");
  const std::string samples[] = {SampleRequest().SerializeAsString(),
                                 with_gradient.SerializeAsString(),
                                 second.SerializeAsString()};
  int num_accepted = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string bytes = samples[random() % 3];
    for (uint64_t edits = random() % 4; edits > 0; --edits) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const auto request = i % 3 == 0 ? Decode<v1::ForwardRequest>(bytes)
                                    : Decode<v1::BackwardRequest>(bytes);
    if (!request.ok()) continue;
    ++num_accepted;
    for (const auto& input : request->inputs) {
      int64_t size_bytes = 0;
      for (const Fragment& fragment : input) size_bytes += fragment.size_bytes;
      ASSERT_EQ(size_bytes, request->request.type.size_bytes());
    }
    ASSERT_GE(request->request.parameters.size(),
              request->request.activation->activation().parameters().size());
  }
  EXPECT_GT(num_accepted, 10'000);
}

}  // namespace
}  // namespace actserve
