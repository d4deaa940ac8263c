// What a ModelInferRequest becomes, and what of it is refused. Requests pass as
// bytes, as they do from a client, and then the checks of every request.

#include "server/kserve/infer_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "actserve/v1/service.pb.h"
#include "server/testing/fake_clock.h"

namespace actserve::kserve {
namespace {

using inference::ModelInferRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Infer : public ::testing::Test {
 protected:
  Infer() {
    registry_ = *Registry::Create({});
    limits_.message_bytes = 1 << 20;
    limits_.default_lease = absl::Minutes(1);
    limits_.max_lease = absl::Minutes(10);
  }

  // What the server does with the bytes, up to the native request.
  absl::StatusOr<InferRequest> Read(const std::string& bytes) {
    bytes_ = bytes;
    const Fragment fragment = {
        reinterpret_cast<const std::byte*>(bytes_.data()), bytes_.size()};
    const absl::Status split =
        Split({&fragment, 1}, limits_.split, &raw_,
              {ModelInferRequest::kRawInputContentsFieldNumber});
    if (!split.ok()) return split;
    message_.Clear();
    if (!message_.ParseFromString(raw_.metadata)) {
      return absl::InvalidArgumentError("parse");
    }
    return Translate(
        message_, raw_, *registry_, nullptr,
        [](const RegionRange& range, absl::string_view) {
          return range.region == "known"
                     ? absl::StatusOr<Fragment>(Fragment{kRegion, 8})
                     : absl::InvalidArgumentError("no such region");
        });
  }
  absl::StatusOr<InferRequest> Read(const ModelInferRequest& request) {
    return Read(request.SerializeAsString());
  }
  // The same, and then its checks.
  absl::StatusOr<DecodedRequest> Decode(const ModelInferRequest& request) {
    absl::StatusOr<InferRequest> read = Read(request);
    if (!read.ok()) return read.status();
    split_ = std::move(read->split);
    return read->method == TensorMethod::kForward
               ? DecodeForward(split_, limits_, *registry_)
               : DecodeBackward(split_, limits_, *registry_, residuals_);
  }
  template <typename Message>
  Message NativeOf(const ModelInferRequest& request) {
    const absl::StatusOr<InferRequest> read = Read(request);
    EXPECT_TRUE(read.ok()) << read.status();
    Message message;
    EXPECT_TRUE(message.ParseFromString(read->split.metadata));
    return message;
  }
  static std::string TextOf(const SplitRequest& split, size_t payload) {
    std::string text;
    for (const Fragment& f : split.FragmentsOf(split.payloads[payload])) {
      text.append(reinterpret_cast<const char*>(f.data), f.size_bytes);
    }
    return text;
  }

  static const std::byte kRegion[8];
  std::unique_ptr<Registry> registry_;
  FakeClock clock_;
  Residuals residuals_{{}, &clock_};
  RequestLimits limits_;
  std::string bytes_;
  SplitRequest raw_;
  SplitRequest split_;
  ModelInferRequest message_;
};

const std::byte Infer::kRegion[8] = {std::byte{'r'}};

void AddInput(const std::string& name, const std::string& bytes,
              ModelInferRequest* request, const std::string& datatype = "FP32",
              int64_t size = 2) {
  auto& input = *request->add_inputs();
  input.set_name(name);
  input.set_datatype(datatype);
  input.add_shape(size);
  request->add_raw_input_contents(bytes);
}

ModelInferRequest Request(const std::string& model) {
  ModelInferRequest request;
  request.set_model_name(model);
  AddInput("x", "abcdefgh", &request);
  return request;
}

TEST_F(Infer, ForwardOfRawContents) {
  ModelInferRequest request = Request("gelu");
  request.set_id("7");
  const auto read = Read(request);

  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->method, TensorMethod::kForward);
  ASSERT_EQ(read->split.payloads.size(), 1);
  EXPECT_EQ(TextOf(read->split, 0), "abcdefgh");
  // In place.
  EXPECT_GE(reinterpret_cast<const char*>(read->split.fragments[0].data),
            bytes_.data());
  const auto native = NativeOf<v1::ForwardRequest>(request);
  EXPECT_EQ(native.activation(), "gelu");
  EXPECT_EQ(native.inputs(0).dtype(), v1::DTYPE_FLOAT32);
  EXPECT_THAT(native.inputs(0).shape(), ElementsAre(2));
}

TEST_F(Infer, BackwardSortsItsInputsAndAsksForAllGradients) {
  ModelInferRequest request;
  request.set_model_name("leaky_relu_backward");
  AddInput("dy", "ddDDyyYY", &request);
  AddInput("x", "xxXXxxXX", &request);
  const auto read = Read(request);

  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->method, TensorMethod::kBackward);
  EXPECT_EQ(TextOf(read->split, 0), "xxXXxxXX");
  EXPECT_EQ(TextOf(read->split, 1), "ddDDyyYY");
  const auto native = NativeOf<v1::BackwardRequest>(request);
  EXPECT_EQ(native.activation(), "leaky_relu");
  EXPECT_TRUE(native.has_grad_output());
  EXPECT_THAT(native.wrt(), ElementsAre("x", "negative_slope"));
}

TEST_F(Infer, OutputsAreChosenInTheirOrder) {
  ModelInferRequest request = Request("leaky_relu_backward");
  request.add_outputs()->set_name("dnegative_slope");
  request.add_outputs()->set_name("dx");

  EXPECT_THAT(NativeOf<v1::BackwardRequest>(request).wrt(),
              ElementsAre("negative_slope", "x"));
}

TEST_F(Infer, TypedContentsAreTheElements) {
  ModelInferRequest request = Request("gelu");
  request.clear_raw_input_contents();
  auto& contents = *request.mutable_inputs(0)->mutable_contents();
  contents.add_fp32_contents(1.5F);
  contents.add_fp32_contents(-2.0F);
  const auto read = Read(request);

  ASSERT_TRUE(read.ok()) << read.status();
  const std::string bytes = TextOf(read->split, 0);
  ASSERT_EQ(bytes.size(), 8);
  float elements[2];
  std::memcpy(elements, bytes.data(), 8);
  EXPECT_THAT(elements, ElementsAre(1.5F, -2.0F));
}

TEST_F(Infer, ParametersAreNumbersTensorsAndPlaces) {
  ModelInferRequest request = Request("leaky_relu");
  auto& parameters = *request.mutable_parameters();
  parameters["negative_slope"].set_int64_param(3);
  parameters["element_offset"].set_uint64_param(64);
  parameters["timeout"].set_int64_param(1500);
  parameters["priority"].set_uint64_param(2);
  parameters["sequence_id"].set_int64_param(0);
  const auto read = Read(request);

  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->timeout, absl::Microseconds(1500));
  const auto native = NativeOf<v1::ForwardRequest>(request);
  EXPECT_EQ(native.element_offset(), 64);
  ASSERT_EQ(native.parameters_size(), 1);
  EXPECT_EQ(native.parameters(0).scalar(), 3);

  ModelInferRequest per_channel = Request("prelu");
  AddInput("a", "weightWE", &per_channel);
  (*per_channel.mutable_inputs(1)->mutable_parameters())["axis"]
      .set_int64_param(0);
  const auto with_tensor = NativeOf<v1::ForwardRequest>(per_channel);
  ASSERT_EQ(with_tensor.parameters_size(), 1);
  EXPECT_EQ(with_tensor.parameters(0).tensor().axis(), 0);
  EXPECT_TRUE(Decode(per_channel).ok()) << Decode(per_channel).status();
}

TEST_F(Infer, OneTensorMayHoldAllInputs) {
  ModelInferRequest request;
  request.set_model_name("glu_backward");
  AddInput("*", "aaaabbbbccccdddd", &request, "FP32", 4);
  (*request.mutable_parameters())["split_axis"].set_int64_param(-1);
  request.add_outputs()->set_name("d*");

  EXPECT_THAT(NativeOf<v1::BackwardRequest>(request).wrt(), ElementsAre("*"));
  EXPECT_TRUE(Decode(request).ok()) << Decode(request).status();
}

TEST_F(Infer, SharedMemoryHasNoSlotAmongTheRawContents) {
  ModelInferRequest request;
  request.set_model_name("gelu_backward");
  AddInput("x", "", &request);
  request.clear_raw_input_contents();
  auto& parameters = *request.mutable_inputs(0)->mutable_parameters();
  parameters["shared_memory_region"].set_string_param("known");
  parameters["shared_memory_byte_size"].set_int64_param(8);
  AddInput("dy", "ddDDyyYY", &request);
  const auto read = Read(request);

  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(TextOf(read->split, 0)[0], 'r');
  EXPECT_EQ(TextOf(read->split, 1), "ddDDyyYY");
}

TEST_F(Infer, RefusesWhatIsWrong) {
  struct Case {
    std::string name;
    std::function<void(ModelInferRequest&)> spoil;
    std::string message;
  };
  const auto parameter = [](ModelInferRequest& r, const std::string& name)
      -> inference::InferParameter& { return (*r.mutable_parameters())[name]; };
  const auto place = [](ModelInferRequest& r,
                        const std::string& name) -> inference::InferParameter& {
    return (*r.mutable_inputs(0)->mutable_parameters())[name];
  };
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const std::vector<Case> cases = {
      {"negative dimension",
       [](auto& r) { r.mutable_inputs(0)->set_shape(0, -2); },
       "dimension 0 is negative"},
      {"zero dimension", [](auto& r) { r.mutable_inputs(0)->set_shape(0, 0); },
       "8 bytes"},
      {"product overflows",
       [](auto& r) {
         for (int i = 0; i < 4; ++i) r.mutable_inputs(0)->add_shape(kMax / 3);
       },
       "elements"},
      {"product overflows to the right size",
       [](auto& r) {
         r.mutable_inputs(0)->set_shape(0, (int64_t{1} << 62) + 1);
         r.mutable_inputs(0)->add_shape(2);
       },
       "elements"},
      {"rank over its limit",
       [](auto& r) {
         for (int i = 0; i < 8; ++i) r.mutable_inputs(0)->add_shape(1);
       },
       "rank 9"},
      {"too few bytes", [](auto& r) { r.set_raw_input_contents(0, "abcdefg"); },
       "7 bytes"},
      {"no bytes", [](auto& r) { r.clear_raw_input_contents(); }, "0 bytes"},
      {"too many contents", [](auto& r) { r.add_raw_input_contents("a"); },
       "raw_input_contents: given 2 times, but the inputs need 1"},
      {"too few contents",
       [](auto& r) {
         AddInput("dy", "ddDDyyYY", &r);
         r.mutable_raw_input_contents()->RemoveLast();
       },
       "raw_input_contents: given 1 times, but inputs[1] needs another one"},
      {"contents together with raw",
       [](auto& r) {
         r.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1);
       },
       "contents must not be given with raw_input_contents"},
      {"contents of another type",
       [](auto& r) {
         r.clear_raw_input_contents();
         r.mutable_inputs(0)->mutable_contents()->add_int_contents(1);
       },
       "contents of FP32 must be in fp32_contents"},
      {"typed contents of BF16",
       [](auto& r) {
         r.clear_raw_input_contents();
         r.mutable_inputs(0)->set_datatype("BF16");
         r.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1);
       },
       "no field for BF16"},
      {"integers", [](auto& r) { r.mutable_inputs(0)->set_datatype("INT32"); },
       "datatype 'INT32', must be FP16, BF16, FP32 or FP64"},
      {"unknown input", [](auto& r) { r.mutable_inputs(0)->set_name("z"); },
       "'z' is not an input of 'gelu_backward': want x, dy"},
      {"input twice", [](auto& r) { AddInput("x", "abcdefgh", &r); },
       "'x' is given more than once"},
      {"no input",
       [](auto& r) { r.clear_inputs(), r.clear_raw_input_contents(); },
       "inputs: neither these nor a residual"},
      {"other shape",
       [](auto& r) { AddInput("dy", "abcdefghijkl", &r, "FP32", 3); },
       "grad_output"},
      {"unknown output", [](auto& r) { r.add_outputs()->set_name("y"); },
       "'y' is not an output of 'gelu_backward': want dx"},
      {"output twice",
       [](auto& r) {
         r.add_outputs()->set_name("dx");
         r.add_outputs()->set_name("dx");
       },
       "'dx' is given more than once"},
      {"classes of an output",
       [](auto& r) {
         auto& output = *r.add_outputs();
         output.set_name("dx");
         (*output.mutable_parameters())["classification"].set_int64_param(3);
       },
       "'classification' is not supported"},
      {"unknown parameter",
       [&](auto& r) { parameter(r, "nope").set_double_param(1); },
       "'nope' is not a parameter of gelu"},
      {"string", [&](auto& r) { parameter(r, "alpha").set_string_param("1"); },
       "'alpha' is a string, must be a number"},
      {"bool", [&](auto& r) { parameter(r, "alpha").set_bool_param(true); },
       "'alpha' is a bool, must be a number"},
      {"empty parameter", [&](auto& r) { parameter(r, "alpha"); },
       "'alpha' is not set"},
      {"inexact integer",
       [&](auto& r) { parameter(r, "alpha").set_int64_param(kMax); },
       "must be from"},
      {"negative timeout",
       [&](auto& r) { parameter(r, "timeout").set_int64_param(-1); },
       "'timeout' is -1"},
      {"large offset",
       [&](auto& r) {
         parameter(r, "element_offset")
             .set_uint64_param(std::numeric_limits<uint64_t>::max());
       },
       "'element_offset' is 18446744073709551615"},
      {"sequence",
       [&](auto& r) { parameter(r, "sequence_id").set_int64_param(5); },
       "keep nothing from one request to the next"},
      {"sequence by name",
       [&](auto& r) { parameter(r, "sequence_id").set_string_param("s"); },
       "keep nothing"},
      {"axis without rows",
       [&](auto& r) { parameter(r, "axis").set_int64_param(0); },
       "reads no rows"},
      {"axis out of range",
       [&](auto& r) { parameter(r, "axis").set_int64_param(1LL << 40); },
       "'axis' is 1099511627776"},
      {"unknown region",
       [&](auto& r) {
         r.clear_raw_input_contents();
         place(r, "shared_memory_region").set_string_param("other");
         place(r, "shared_memory_byte_size").set_int64_param(8);
       },
       "no such region"},
      {"region without size",
       [&](auto& r) {
         place(r, "shared_memory_region").set_string_param("known");
       },
       "no shared_memory_byte_size"},
      {"size without region",
       [&](auto& r) { place(r, "shared_memory_byte_size").set_int64_param(8); },
       "no shared_memory_region"},
      {"negative size",
       [&](auto& r) {
         place(r, "shared_memory_region").set_string_param("known");
         place(r, "shared_memory_byte_size").set_int64_param(-8);
       },
       "'shared_memory_byte_size' is -8"},
      {"unknown parameter of an input",
       [&](auto& r) { place(r, "binary_data_size").set_int64_param(8); },
       "'binary_data_size' is not supported"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    ModelInferRequest request = Request("gelu_backward");
    each.spoil(request);
    const absl::Status status = Decode(request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(each.message));
  }
}

TEST_F(Infer, EmptyTensorsAreTensors) {
  ModelInferRequest request;
  request.set_model_name("gelu");
  AddInput("x", "", &request, "FP16", 0);

  EXPECT_TRUE(Decode(request).ok()) << Decode(request).status();
  request.clear_raw_input_contents();
  EXPECT_TRUE(Decode(request).ok()) << Decode(request).status();
}

TEST_F(Infer, UnknownModelsAndVersions) {
  for (const std::string name :
       {"", "nope", "_backward", "gelu_backward_backward", "../gelu", "y"}) {
    EXPECT_EQ(Read(Request(name)).status().code(), absl::StatusCode::kNotFound)
        << name;
  }
  ModelInferRequest request = Request("gelu");
  request.set_model_version("1");
  EXPECT_TRUE(Read(request).ok());
  request.set_model_version("2");
  EXPECT_EQ(Read(request).status().message(),
            "Request for unknown model: 'gelu' version '2' is not found");
}

TEST_F(Infer, TwoNamesOfAModelAreRefused) {
  const std::string bytes =
      Request("gelu").SerializeAsString() + Request("relu").SerializeAsString();
  EXPECT_THAT(std::string(Read(bytes).status().message()),
              HasSubstr("model_name: given more than once"));
}

// Every way to cut off a request, and to flip a bit of it, has an answer.
TEST_F(Infer, DamagedBytesDoNoHarm) {
  ModelInferRequest request = Request("leaky_relu_backward");
  AddInput("dy", "ddDDyyYY", &request);
  (*request.mutable_parameters())["negative_slope"].set_double_param(0.5);
  request.add_outputs()->set_name("dx");
  const std::string bytes = request.SerializeAsString();

  for (size_t length = 0; length < bytes.size(); ++length) {
    static_cast<void>(Read(bytes.substr(0, length)));
  }
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    ModelInferRequest damaged;
    if (damaged.ParseFromString(flipped)) {
      static_cast<void>(Decode(damaged));
    }
    static_cast<void>(Read(flipped));
  }
}

// An activation may call an input dy.
TEST_F(Infer, NamesThatATextTakes) {
  Registry::Text text;
  text.text = "def f(dy, y):\n    return dy * y\n";
  const auto made = registry_->Register(text, nullptr);
  ASSERT_TRUE(made.ok()) << made.status();
  ModelInferRequest request;
  request.set_model_name(made->activation->id() + "_backward");
  AddInput("y", "yyYYyyYY", &request);
  AddInput("dy", "ddDDyyYY", &request);
  AddInput("dL/dy", "uuUUuuUU", &request);
  const auto read = Read(request);

  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(TextOf(read->split, 0), "ddDDyyYY");
  EXPECT_EQ(TextOf(read->split, 1), "yyYYyyYY");
  EXPECT_EQ(TextOf(read->split, 2), "uuUUuuUU");
  EXPECT_THAT(NativeOf<v1::BackwardRequest>(request).wrt(),
              ElementsAre("dy", "y"));
}

}  // namespace
}  // namespace actserve::kserve
