#include "server/end_to_end/calls.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/client_callback.h"

namespace actserve::testing {
namespace {

void SetDeadline(grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() +
                        std::chrono::minutes(1));
}

v1::Tensor VectorOf(const std::vector<float>& elements) {
  return TensorOf(v1::DTYPE_FLOAT32, {static_cast<int64_t>(elements.size())});
}

template <typename Message>
bool FindDetail(const grpc::Status& status, const std::string& type,
                Message* message) {
  v1::Status details;
  if (!details.ParseFromString(status.error_details())) return false;
  for (const auto& detail : details.details()) {
    if (detail.type_url() == "type.googleapis.com/" + type) {
      return message->ParseFromString(detail.value());
    }
  }
  return false;
}

}  // namespace

std::shared_ptr<grpc::Channel> ChannelTo(
    const std::string& address,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

v1::Tensor TensorOf(v1::DType dtype, const std::vector<int64_t>& shape) {
  v1::Tensor tensor;
  tensor.set_dtype(dtype);
  tensor.mutable_shape()->Add(shape.begin(), shape.end());
  return tensor;
}

v1::ForwardRequest ForwardOf(const std::string& activation,
                             const std::vector<float>& x) {
  v1::ForwardRequest request;
  request.set_activation(activation);
  *request.add_inputs() = VectorOf(x);
  request.add_payload(BytesOf(x));
  return request;
}

v1::BackwardRequest BackwardOf(const std::string& activation,
                               const std::vector<float>& x,
                               const std::vector<float>& dy) {
  v1::BackwardRequest request;
  request.set_activation(activation);
  *request.add_inputs() = VectorOf(x);
  request.add_payload(BytesOf(x));
  if (!dy.empty()) {
    *request.mutable_grad_output() = VectorOf(dy);
    request.add_payload(BytesOf(dy));
  }
  return request;
}

v1::BackwardRequest BackwardOf(const v1::Residual& residual,
                               const std::vector<float>& dy) {
  v1::BackwardRequest request;
  request.set_residual(residual.handle());
  *request.mutable_grad_output() = VectorOf(dy);
  request.add_payload(BytesOf(dy));
  return request;
}

void SetParameter(const std::string& name, double value,
                  google::protobuf::RepeatedPtrField<v1::ParameterValue>* to) {
  v1::ParameterValue& parameter = *to->Add();
  parameter.set_name(name);
  parameter.set_scalar(value);
}

grpc::Status Forward(Stub& stub, const v1::ForwardRequest& request,
                     v1::ForwardResponse* response) {
  grpc::ClientContext context;
  SetDeadline(&context);
  return stub.Forward(&context, request, response);
}

grpc::Status Backward(Stub& stub, const v1::BackwardRequest& request,
                      v1::BackwardResponse* response) {
  grpc::ClientContext context;
  SetDeadline(&context);
  return stub.Backward(&context, request, response);
}

grpc::Status Register(Stub& stub, const v1::RegisterActivationRequest& request,
                      v1::RegisterActivationResponse* response) {
  grpc::ClientContext context;
  SetDeadline(&context);
  return stub.RegisterActivation(&context, request, response);
}

grpc::Status Register(Stub& stub, const std::string& text,
                      v1::RegisterActivationResponse* response) {
  v1::RegisterActivationRequest request;
  request.set_text(text);
  return Register(stub, request, response);
}

std::string HeavyText(int number) {
  std::string text = "def heavy(x, y, a=1.0):\n    r = x\n";
  for (int i = 0; i < 100; ++i) {
    absl::StrAppend(&text, "    if r > ", i, " * a:\n", "        r = r * y + ",
                    i + 1, "e-2 * exp(x)\n");
  }
  return absl::StrCat(text, "    return r + ", number, "\n");
}

grpc::Status CallRaw(const std::shared_ptr<grpc::Channel>& channel,
                     const std::string& method, const std::string& bytes,
                     std::string* response, const std::string& token,
                     std::string* pushback) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  SetDeadline(&context);
  if (!token.empty()) {
    context.AddMetadata("authorization", absl::StrCat("Bearer ", token));
  }
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer answer;
  grpc::Status status;
  absl::Notification done;
  stub.UnaryCall(&context, method, grpc::StubOptions(), &request, &answer,
                 [&](grpc::Status result) {
                   status = std::move(result);
                   done.Notify();
                 });
  done.WaitForNotification();
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find("grpc-retry-pushback-ms");
  if (pushback != nullptr && found != trailers.end()) {
    pushback->assign(found->second.data(), found->second.size());
  }
  if (response != nullptr && status.ok()) {
    std::vector<grpc::Slice> slices;
    status = answer.Dump(&slices);
    for (const grpc::Slice& part : slices) {
      response->append(reinterpret_cast<const char*>(part.begin()),
                       part.size());
    }
  }
  return status;
}

grpc::Status CallWithoutMessage(const std::shared_ptr<grpc::Channel>& channel,
                                const std::string& method) {
  class Reactor final
      : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
   public:
    void OnDone(const grpc::Status& status) override {
      status_ = status;
      done_.Notify();
    }
    grpc::Status Await() {
      done_.WaitForNotification();
      return status_;
    }

   private:
    absl::Notification done_;
    grpc::Status status_;
  };
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  SetDeadline(&context);
  Reactor reactor;
  stub.PrepareBidiStreamingCall(&context, method, grpc::StubOptions(),
                                &reactor);
  reactor.StartWritesDone();
  reactor.StartCall();
  return reactor.Await();
}

std::string ReasonOf(const grpc::Status& status) {
  v1::ErrorInfo info;
  FindDetail(status, "google.rpc.ErrorInfo", &info);
  return info.reason();
}

v1::Diagnostics DiagnosticsOf(const grpc::Status& status) {
  v1::Diagnostics diagnostics;
  FindDetail(status, "actserve.v1.Diagnostics", &diagnostics);
  return diagnostics;
}

}  // namespace actserve::testing
