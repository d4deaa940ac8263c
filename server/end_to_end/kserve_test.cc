// KServe v2, called by the generated stub. tritonclient calls it in
// client/python/tests/kserve; tokens_test asks every method for its token.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "inference/grpc_service.grpc.pb.h"
#include "server/end_to_end/scrape.h"
#include "server/end_to_end/server_test.h"

namespace actserve::testing {
namespace {

using grpc::StatusCode;
using inference::ModelInferRequest;
using inference::ModelInferResponse;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using KserveStub = inference::GRPCInferenceService::Stub;

const std::vector<float> kX = {-1.5F, 0, 0.25F, 3};
const std::vector<float> kDy = {1, 2, -3, 0.5F};

void AddInput(const std::string& name, const std::string& datatype,
              const std::string& bytes, int64_t size,
              ModelInferRequest* request) {
  auto& input = *request->add_inputs();
  input.set_name(name);
  input.set_datatype(datatype);
  input.add_shape(size);
  request->add_raw_input_contents(bytes);
}

ModelInferRequest RequestOf(const std::string& model) {
  ModelInferRequest request;
  request.set_model_name(model);
  AddInput("x", "FP32", BytesOf(kX), 4, &request);
  return request;
}

class Kserve : public ServerTest {
 protected:
  static void SetUpTestSuite() {
    StartServer({"--device=cpu", "--kserve", "--metrics=127.0.0.1:0"});
  }
  void SetUp() override {
    kserve_ = inference::GRPCInferenceService::NewStub(channel_);
  }

  grpc::Status Infer(const ModelInferRequest& request,
                     ModelInferResponse* response) {
    grpc::ClientContext context;
    return kserve_->ModelInfer(&context, request, response);
  }
  // Calls a method without tensors.
  template <typename Request, typename Response>
  Response Ask(grpc::Status (KserveStub::*method)(grpc::ClientContext*,
                                                  const Request&, Response*),
               const Request& request = {}) {
    grpc::ClientContext context;
    Response response;
    const grpc::Status status =
        (kserve_.get()->*method)(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  std::unique_ptr<KserveStub> kserve_;
};

TEST_F(Kserve, TellsWhatItIs) {
  EXPECT_TRUE(Ask(&KserveStub::ServerLive).live());
  EXPECT_TRUE(Ask(&KserveStub::ServerReady).ready());
  const auto server = Ask(&KserveStub::ServerMetadata);
  EXPECT_EQ(server.name(), "actserve");
  EXPECT_THAT(server.extensions(),
              ElementsAre("model_configuration", "binary_tensor_data",
                          "parameters", "statistics"));

  inference::ModelReadyRequest ready;
  ready.set_name("gelu_backward");
  EXPECT_TRUE(Ask(&KserveStub::ModelReady, ready).ready());
  ready.set_version("2");
  EXPECT_FALSE(Ask(&KserveStub::ModelReady, ready).ready());
  ready.set_name("nope");
  EXPECT_FALSE(Ask(&KserveStub::ModelReady, ready).ready());
}

TEST_F(Kserve, DescribesItsModels) {
  inference::ModelMetadataRequest request;
  request.set_name("leaky_relu_backward");
  const auto metadata = Ask(&KserveStub::ModelMetadata, request);

  EXPECT_THAT(metadata.versions(), ElementsAre("1"));
  ASSERT_EQ(metadata.inputs_size(), 2);
  EXPECT_EQ(metadata.inputs(0).name(), "x");
  EXPECT_EQ(metadata.inputs(0).datatype(), "FP32");
  EXPECT_THAT(metadata.inputs(0).shape(), ElementsAre(-1));
  EXPECT_EQ(metadata.inputs(1).name(), "dy");
  ASSERT_EQ(metadata.outputs_size(), 2);
  EXPECT_EQ(metadata.outputs(0).name(), "dx");
  EXPECT_EQ(metadata.outputs(1).name(), "dnegative_slope");
  EXPECT_EQ(metadata.outputs(1).datatype(), "FP64");
  EXPECT_EQ(metadata.properties().at("negative_slope"), "0.01");

  inference::ModelConfigRequest config_request;
  config_request.set_name("leaky_relu");
  const auto config = Ask(&KserveStub::ModelConfig, config_request).config();
  EXPECT_EQ(config.name(), "leaky_relu");
  EXPECT_EQ(config.max_batch_size(), 0);
  EXPECT_EQ(config.input(0).data_type(), inference::TYPE_FP32);
  EXPECT_EQ(config.output(0).name(), "y");
  EXPECT_FALSE(config.model_transaction_policy().decoupled());
}

TEST_F(Kserve, ListsBuiltinsAndTexts) {
  const std::string id = IdOf("def f(x):\n    return 3 * x\n");
  std::map<std::string, std::string> states;
  const auto index = Ask(&KserveStub::RepositoryIndex);
  for (const auto& model : index.models()) {
    states[model.name()] = model.state();
  }

  for (const std::string& name : {std::string("gelu"), id}) {
    EXPECT_EQ(states[name], "READY") << name;
    EXPECT_EQ(states[name + "_backward"], "READY") << name;
  }
}

TEST_F(Kserve, ComputesTheSameBits) {
  v1::ForwardResponse native;
  ASSERT_TRUE(Forward(*stub_, ForwardOf("gelu", kX), &native).ok());
  ModelInferRequest request = RequestOf("gelu");
  request.set_id("a7");
  ModelInferResponse response;
  const grpc::Status status = Infer(request, &response);

  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.model_name(), "gelu");
  EXPECT_EQ(response.model_version(), "1");
  EXPECT_EQ(response.id(), "a7");
  ASSERT_EQ(response.outputs_size(), 1);
  EXPECT_EQ(response.outputs(0).name(), "y");
  EXPECT_EQ(response.outputs(0).datatype(), "FP32");
  EXPECT_THAT(response.outputs(0).shape(), ElementsAre(4));
  EXPECT_THAT(response.raw_output_contents(), ElementsAre(native.payload(0)));
}

// From the second time on, the server knows what the metadata means.
TEST_F(Kserve, RepeatedRequestsDifferInIdAndTensors) {
  const auto infer = [&](const std::string& id, const std::vector<float>& x) {
    ModelInferRequest request;
    request.set_model_name("leaky_relu_backward");
    AddInput("dy", "FP32", BytesOf(std::vector<float>{1, 10}), 2, &request);
    AddInput("x", "FP32", BytesOf(x), 2, &request);
    request.set_id(id);
    ModelInferResponse response;
    const grpc::Status status = Infer(request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  };
  for (const std::string id : {"", "1", "2", "a b", "\xC3\xA9", ""}) {
    const float sign = id == "2" ? -1 : 1;
    const ModelInferResponse response = infer(id, {sign, 2});
    EXPECT_EQ(response.id(), id);
    EXPECT_EQ(response.model_name(), "leaky_relu_backward");
    ASSERT_EQ(response.outputs_size(), 2);
    EXPECT_EQ(response.outputs(1).name(), "dnegative_slope");
    EXPECT_THAT(ElementsOf<float>(response.raw_output_contents(0)),
                ElementsAre(sign > 0 ? 1 : 0.01F, 10));
    EXPECT_THAT(ElementsOf<double>(response.raw_output_contents(1)),
                ElementsAre(sign > 0 ? 0 : -1));
  }
  // The same metadata, and other payloads than it asks for.
  ModelInferRequest request = RequestOf("gelu");
  ModelInferResponse response;
  ASSERT_TRUE(Infer(request, &response).ok());
  request.set_raw_input_contents(0, "abc");
  EXPECT_THAT(Infer(request, &response).error_message(), HasSubstr("3 bytes"));
  request.clear_raw_input_contents();
  EXPECT_THAT(Infer(request, &response).error_message(), HasSubstr("0 bytes"));
}

TEST_F(Kserve, GradientsOfInputsAndParameters) {
  v1::BackwardRequest asked = BackwardOf("leaky_relu", kX, kDy);
  for (const char* name : {"negative_slope", "x"}) asked.add_wrt(name);
  v1::BackwardResponse native;
  ASSERT_TRUE(Backward(*stub_, asked, &native).ok());
  ModelInferRequest request = RequestOf("leaky_relu_backward");
  AddInput("dy", "FP32", BytesOf(kDy), 4, &request);
  request.add_outputs()->set_name("dnegative_slope");
  request.add_outputs()->set_name("dx");
  ModelInferResponse response;
  const grpc::Status status = Infer(request, &response);

  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.outputs_size(), 2);
  EXPECT_EQ(response.outputs(0).name(), "dnegative_slope");
  EXPECT_EQ(response.outputs(0).datatype(), "FP64");
  EXPECT_THAT(response.outputs(0).shape(), ElementsAre(1));
  EXPECT_THAT(ElementsOf<double>(response.raw_output_contents(0)),
              ElementsAre(native.gradients(0).scalar()));
  EXPECT_EQ(response.outputs(1).name(), "dx");
  EXPECT_EQ(response.raw_output_contents(1), native.payload(0));

  // All, if none is named.
  request.clear_outputs();
  ASSERT_TRUE(Infer(request, &response).ok());
  EXPECT_EQ(response.outputs(0).name(), "dx");
  EXPECT_EQ(response.outputs(1).name(), "dnegative_slope");
}

// A result of its own slice, and numbers beside it.
TEST_F(Kserve, LargeTensors) {
  const std::vector<float> x(1 << 18, 0.5F);
  ModelInferRequest request;
  request.set_model_name("leaky_relu_backward");
  AddInput("x", "FP32", BytesOf(x), 1 << 18, &request);
  ModelInferResponse response;
  const grpc::Status status = Infer(request, &response);

  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.raw_output_contents(0),
            BytesOf(std::vector<float>(1 << 18, 1)));
  EXPECT_EQ(response.raw_output_contents(1).size(), sizeof(double));
}

TEST_F(Kserve, ErrorsAreStatuses) {
  struct Case {
    ModelInferRequest request;
    StatusCode code;
    std::string message;
  };
  ModelInferRequest short_one = RequestOf("gelu");
  short_one.set_raw_input_contents(0, "abc");
  ModelInferRequest large_one = RequestOf("gelu");
  large_one.set_id(std::string(100'000, 'i'));
  for (const Case& each :
       {Case{RequestOf("nope"), StatusCode::NOT_FOUND,
             "Request for unknown model: 'nope' is not found"},
        Case{short_one, StatusCode::INVALID_ARGUMENT, "3 bytes"},
        Case{large_one, StatusCode::INVALID_ARGUMENT, "65536 bytes"},
        Case{RequestOf("softmax"), StatusCode::INVALID_ARGUMENT,
             "axis: not set"}}) {
    ModelInferResponse response;
    const grpc::Status status = Infer(each.request, &response);
    EXPECT_EQ(status.error_code(), each.code);
    EXPECT_THAT(status.error_message(), HasSubstr(each.message));
  }
  ModelInferResponse response;
  EXPECT_EQ(ReasonOf(Infer(RequestOf("nope"), &response)),
            "ACTIVATION_UNKNOWN");
}

TEST_F(Kserve, WhatIsNotServedSaysWhy) {
  const auto message_of = [&](const std::string& method) {
    const grpc::Status status = CallRaw(
        channel_, absl::StrCat("/inference.GRPCInferenceService/", method), "");
    EXPECT_EQ(status.error_code(), StatusCode::UNIMPLEMENTED) << method;
    return status.error_message();
  };
  EXPECT_THAT(message_of("RepositoryModelLoad"),
              HasSubstr("RegisterActivation"));
  EXPECT_THAT(message_of("RepositoryModelUnload"), HasSubstr("every model"));
  EXPECT_THAT(message_of("TraceSetting"), HasSubstr("--otlp_endpoint"));
  EXPECT_THAT(message_of("LogSettings"), HasSubstr("--log_level"));
  EXPECT_THAT(message_of("CudaSharedMemoryRegister"), HasSubstr("GPU"));
  EXPECT_THAT(message_of("SystemSharedMemoryRegister"),
              HasSubstr("--kserve_shared_memory"));
  // Tools ask for the others without having registered anything.
  EXPECT_EQ(Ask(&KserveStub::CudaSharedMemoryStatus).regions_size(), 0);
  EXPECT_EQ(Ask(&KserveStub::SystemSharedMemoryStatus).regions_size(), 0);
  Ask(&KserveStub::CudaSharedMemoryUnregister);
  Ask(&KserveStub::SystemSharedMemoryUnregister);
}

TEST_F(Kserve, AStreamAnswersEachRequest) {
  grpc::ClientContext context;
  const auto stream = kserve_->ModelStreamInfer(&context);
  for (int i = 0; i < 3; ++i) {
    ModelInferRequest request = RequestOf(i == 1 ? "nope" : "relu");
    request.set_id(absl::StrCat(i));
    ASSERT_TRUE(stream->Write(request));
  }
  std::vector<std::string> errors;
  for (int i = 0; i < 3; ++i) {
    inference::ModelStreamInferResponse response;
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.infer_response().id(), absl::StrCat(i));
    errors.push_back(response.error_message());
    if (!response.error_message().empty()) continue;
    EXPECT_THAT(
        ElementsOf<float>(response.infer_response().raw_output_contents(0)),
        ElementsAre(0, 0, 0.25F, 3));
    EXPECT_TRUE(response.infer_response()
                    .parameters()
                    .at("triton_final_response")
                    .bool_param());
  }
  stream->WritesDone();
  inference::ModelStreamInferResponse none;
  EXPECT_FALSE(stream->Read(&none));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_THAT(
      errors,
      ElementsAre("", "Request for unknown model: 'nope' is not found", ""));
}

TEST_F(Kserve, CountsItsRequests) {
  const std::string model = IdOf("def f(x):\n    return 5 * x\n");
  ModelInferResponse response;
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(Infer(RequestOf(model), &response).ok());
  }
  ModelInferRequest wrong = RequestOf(model);
  wrong.set_raw_input_contents(0, "abc");
  EXPECT_FALSE(Infer(wrong, &response).ok());

  inference::ModelStatisticsRequest request;
  request.set_name(model);
  const auto answer = Ask(&KserveStub::ModelStatistics, request);
  ASSERT_EQ(answer.model_stats_size(), 1);
  const auto& statistics = answer.model_stats(0);
  EXPECT_EQ(statistics.inference_count(), 3);
  EXPECT_EQ(statistics.execution_count(), 3);
  EXPECT_EQ(statistics.inference_stats().success().count(), 3);
  EXPECT_GT(statistics.inference_stats().success().ns(), 0);
  EXPECT_EQ(statistics.inference_stats().fail().count(), 1);
  EXPECT_EQ(statistics.inference_stats().compute_infer().count(), 3);

  const auto series = SeriesOf(Scrape(MetricsAddressOf(*server_)));
  const auto counted = series.find(
      "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"ModelInfer\","
      "grpc_service=\"inference.GRPCInferenceService\",grpc_type=\"unary\"}");
  ASSERT_NE(counted, series.end());
  EXPECT_GE(counted->second, 3);
}

// A text whose program takes longer to compile than the client wants to wait.
TEST_F(Kserve, TimeoutIsADeadline) {
  ModelInferRequest request = RequestOf(IdOf(HeavyText(1)));
  AddInput("y", "FP32", BytesOf(kDy), 4, &request);
  (*request.mutable_parameters())["timeout"].set_int64_param(1000);
  ModelInferResponse response;
  const grpc::Status status = Infer(request, &response);

  EXPECT_EQ(status.error_code(), StatusCode::DEADLINE_EXCEEDED)
      << status.error_message();
}

TEST(KserveFlags, ItIsOffUnlessAsked) {
  auto server =
      ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY), {"--device=cpu"});
  ASSERT_TRUE(server.ok()) << server.status();

  EXPECT_EQ(CallRaw(ChannelTo((*server)->tcp_address()),
                    "/inference.GRPCInferenceService/ServerLive", "")
                .error_code(),
            StatusCode::UNIMPLEMENTED);
}

// An open stream must not hold up a server that stops.
TEST(KserveFlags, DrainsWithAnOpenStream) {
  auto server = ServerProcess::Start(
      BinaryOfBuild(ACTSERVED_BINARY),
      {"--device=cpu", "--kserve", "--drain_delay=1h", "--drain_timeout=1h"});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto channel = ChannelTo((*server)->tcp_address());
  const auto stub = inference::GRPCInferenceService::NewStub(channel);
  grpc::ClientContext context;
  const auto stream = stub->ModelStreamInfer(&context);
  ASSERT_TRUE(stream->Write(RequestOf("relu")));
  inference::ModelStreamInferResponse response;
  ASSERT_TRUE(stream->Read(&response));

  (*server)->Signal(SIGTERM);
  ASSERT_TRUE((*server)->WaitForEvent("draining"));
  const auto is_ready = [&] {
    grpc::ClientContext asking;
    inference::ServerReadyResponse answer;
    EXPECT_TRUE(stub->ServerReady(&asking, {}, &answer).ok());
    return answer.ready();
  };
  while (is_ready()) absl::SleepFor(absl::Milliseconds(1));
  ASSERT_TRUE(stream->Write(RequestOf("relu"))) << "still served";
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.error_message(), "");
  (*server)->Signal(SIGTERM);

  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ((*server)->Wait(), 0);
}

}  // namespace
}  // namespace actserve::testing
