// Short helpers that make requests and calls in tests of a running server.

#ifndef ACTSERVE_SERVER_END_TO_END_CALLS_H_
#define ACTSERVE_SERVER_END_TO_END_CALLS_H_

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "actserve/v1/service.grpc.pb.h"
#include "actserve/v1/status.pb.h"
#include "google/protobuf/message.h"
#include "grpcpp/channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/status.h"

namespace actserve::testing {

using Stub = v1::ActivationService::Stub;

// Makes a new connection, with no limit on messages.
std::shared_ptr<grpc::Channel> ChannelTo(
    const std::string& address,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials =
        grpc::InsecureChannelCredentials());

template <typename T>
std::string BytesOf(const std::vector<T>& elements) {
  return std::string(reinterpret_cast<const char*>(elements.data()),
                     elements.size() * sizeof(T));
}

template <typename T>
std::vector<T> ElementsOf(const std::string& bytes) {
  std::vector<T> elements(bytes.size() / sizeof(T));
  std::memcpy(elements.data(), bytes.data(), bytes.size());
  return elements;
}

v1::Tensor TensorOf(v1::DType dtype, const std::vector<int64_t>& shape);

// Makes a Forward of one float32 input.
v1::ForwardRequest ForwardOf(const std::string& activation,
                             const std::vector<float>& x);
// The same with its gradient; empty `dy`: none, which means ones.
v1::BackwardRequest BackwardOf(const std::string& activation,
                               const std::vector<float>& x,
                               const std::vector<float>& dy);
// The Backward that uses what `forward` left.
v1::BackwardRequest BackwardOf(const v1::Residual& residual,
                               const std::vector<float>& dy);

void SetParameter(const std::string& name, double value,
                  google::protobuf::RepeatedPtrField<v1::ParameterValue>* to);

// Calls with a deadline of a minute.
grpc::Status Forward(Stub& stub, const v1::ForwardRequest& request,
                     v1::ForwardResponse* response);
grpc::Status Backward(Stub& stub, const v1::BackwardRequest& request,
                      v1::BackwardResponse* response);
grpc::Status Register(Stub& stub, const v1::RegisterActivationRequest& request,
                      v1::RegisterActivationResponse* response);
grpc::Status Register(Stub& stub, const std::string& text,
                      v1::RegisterActivationResponse* response);

// A text whose programs take 0.1 to 3 s each to compile; another one for each
// `number`.
std::string HeavyText(int number);

// Sends any `bytes` as the request of `method`, "/service/method", with `token`
// unless it is empty. Fills `response`, if not null, with the bytes of the
// answer, and `pushback`, if not null, with the trailer that says when to
// retry.
grpc::Status CallRaw(const std::shared_ptr<grpc::Channel>& channel,
                     const std::string& method, const std::string& bytes,
                     std::string* response = nullptr,
                     const std::string& token = "",
                     std::string* pushback = nullptr);

// Calls `method` and sends no message.
grpc::Status CallWithoutMessage(const std::shared_ptr<grpc::Channel>& channel,
                                const std::string& method);

// The reason of a google.rpc.ErrorInfo in the details; "" without one.
std::string ReasonOf(const grpc::Status& status);
// The v1::Diagnostics in the details; empty without them.
v1::Diagnostics DiagnosticsOf(const grpc::Status& status);

}  // namespace actserve::testing

#endif  // ACTSERVE_SERVER_END_TO_END_CALLS_H_
