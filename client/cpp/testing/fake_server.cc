#include "client/cpp/testing/fake_server.h"

#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "actserve/v1/status.pb.h"
#include "grpcpp/ext/health_check_service_server_builder_option.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/server_builder.h"
#include "proto/error_trailers.h"

namespace actserve::testing {
namespace {

std::string Negated(const std::string& floats) {
  std::string result = floats;
  for (size_t i = 0; i + sizeof(float) <= result.size(); i += sizeof(float)) {
    float value;
    std::memcpy(&value, &result[i], sizeof(value));
    value = -value;
    std::memcpy(&result[i], &value, sizeof(value));
  }
  return result;
}

grpc::Status Negate(grpc::ServerContext*, const v1::ForwardRequest& request,
                    v1::ForwardResponse& response) {
  if (request.inputs().empty() || request.payload().empty()) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no inputs");
  }
  *response.mutable_output() = request.inputs(0);
  response.add_payload(Negated(request.payload(0)));
  for (int i = 0; i < request.partials_size(); ++i) {
    *response.add_partials() = request.inputs(0);
    response.add_payload(request.payload(0));
  }
  if (request.keep_residual()) {
    response.mutable_residual()->set_handle("0123456789abcdef");
  }
  response.set_activation_id(request.activation());
  response.set_program_id("sha256:2");
  response.set_device("fake");
  return grpc::Status::OK;
}

grpc::Status PassBack(grpc::ServerContext*, const v1::BackwardRequest& request,
                      v1::BackwardResponse& response) {
  for (const std::string& name : request.wrt()) {
    auto* gradient = response.add_gradients();
    gradient->set_name(name);
    if (name == "beta") {
      gradient->set_scalar(0.25);
      continue;
    }
    *gradient->mutable_tensor() =
        request.has_grad_output() ? request.grad_output() : request.inputs(0);
    response.add_payload(request.payload(request.payload_size() - 1));
  }
  response.set_activation_id(request.activation());
  return grpc::Status::OK;
}

grpc::Status ListPage(const v1::ListActivationsRequest& request,
                      const std::string& own_token,
                      v1::ListActivationsResponse& response) {
  const bool is_first = request.page_token().empty();
  if (!is_first && request.page_token() != own_token) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "page_token");
  }
  v1::Activation& activation = *response.add_activations();
  activation.set_name(is_first ? "gelu" : "relu");
  if (request.with_texts()) activation.set_text("def ...");
  if (is_first) response.set_next_page_token(own_token);
  return grpc::Status::OK;
}

grpc::Status Release(grpc::ServerContext*,
                     const v1::ReleaseResidualsRequest& request,
                     v1::ReleaseResidualsResponse& response) {
  constexpr int kMaxHandles = 1024;
  if (request.handles_size() > kMaxHandles) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "handles");
  }
  response.set_num_released(request.handles_size());
  return grpc::Status::OK;
}

}  // namespace

grpc::Status StatusWithReason(grpc::StatusCode code, const std::string& message,
                              const std::string& reason) {
  v1::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("actserve");
  v1::Status status;
  status.set_code(code);
  status.set_message(message);
  auto* detail = status.add_details();
  detail->set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  detail->set_value(info.SerializeAsString());
  return grpc::Status(code, message, status.SerializeAsString());
}

FakeServer::FakeServer(const std::string& socket_path)
    : forward(Negate),
      backward(PassBack),
      register_activation([](grpc::ServerContext*,
                             const v1::RegisterActivationRequest&,
                             v1::RegisterActivationResponse& response) {
        response.mutable_activation()->set_id("sha256:1");
        response.set_created(true);
        return grpc::Status::OK;
      }),
      list_activations([this](grpc::ServerContext*,
                              const v1::ListActivationsRequest& request,
                              v1::ListActivationsResponse& response) {
        return ListPage(request, address_, response);
      }),
      release_residuals(Release),
      get_server_info([](grpc::ServerContext*, const v1::GetServerInfoRequest&,
                         v1::ServerInfo& response) {
        response.set_version("fake");
        return grpc::Status::OK;
      }) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  if (!socket_path.empty()) {
    builder.AddListeningPort(absl::StrCat("unix:", socket_path),
                             grpc::InsecureServerCredentials());
  }
  builder.SetMaxReceiveMessageSize(-1);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port);
}

FakeServer::~FakeServer() {
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

void FakeServer::SetServing(bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(serving);
}

grpc::Status FakeServer::Answer(grpc::ServerContext* context,
                                grpc::Status status) {
  if (!status.ok() && marks_errors) {
    context->AddTrailingMetadata(kAnsweredTrailer, "1");
  }
  return status;
}

grpc::Status FakeServer::Forward(grpc::ServerContext* context,
                                 const v1::ForwardRequest* request,
                                 v1::ForwardResponse* response) {
  ++num_forward;
  return Answer(context, forward(context, *request, *response));
}

grpc::Status FakeServer::Backward(grpc::ServerContext* context,
                                  const v1::BackwardRequest* request,
                                  v1::BackwardResponse* response) {
  ++num_backward;
  return Answer(context, backward(context, *request, *response));
}

grpc::Status FakeServer::RegisterActivation(
    grpc::ServerContext* context, const v1::RegisterActivationRequest* request,
    v1::RegisterActivationResponse* response) {
  ++num_register_activation;
  return Answer(context, register_activation(context, *request, *response));
}

grpc::Status FakeServer::GetActivation(grpc::ServerContext*,
                                       const v1::GetActivationRequest* request,
                                       v1::Activation* response) {
  response->set_name(request->activation());
  response->add_inputs(std::string("x"));
  return grpc::Status::OK;
}

grpc::Status FakeServer::ListActivations(
    grpc::ServerContext* context, const v1::ListActivationsRequest* request,
    v1::ListActivationsResponse* response) {
  return Answer(context, list_activations(context, *request, *response));
}

grpc::Status FakeServer::ReleaseResiduals(
    grpc::ServerContext* context, const v1::ReleaseResidualsRequest* request,
    v1::ReleaseResidualsResponse* response) {
  return Answer(context, release_residuals(context, *request, *response));
}

grpc::Status FakeServer::GetServerInfo(grpc::ServerContext* context,
                                       const v1::GetServerInfoRequest* request,
                                       v1::ServerInfo* response) {
  return Answer(context, get_server_info(context, *request, *response));
}

}  // namespace actserve::testing
