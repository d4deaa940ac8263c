// A server of generated code for tests of the client. The test sets the
// answers; protobuf itself encodes them.

#ifndef ACTSERVE_CLIENT_CPP_TESTING_FAKE_SERVER_H_
#define ACTSERVE_CLIENT_CPP_TESTING_FAKE_SERVER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "actserve/v1/service.grpc.pb.h"
#include "grpcpp/server.h"

namespace actserve::testing {

// Returns a status with an ErrorInfo, as actserved sends it.
grpc::Status StatusWithReason(grpc::StatusCode code, const std::string& message,
                              const std::string& reason);

// Counts every call; answers with the hooks, which may run on several threads
// and must be set before the first call.
class FakeServer final : public v1::ActivationService::Service {
 public:
  // Listens on a free port of 127.0.0.1 and, if given, on a unix socket.
  explicit FakeServer(const std::string& socket_path = "");
  ~FakeServer() override;

  // "127.0.0.1:<port>".
  const std::string& address() const { return address_; }

  template <typename Request, typename Response>
  using Hook = std::function<grpc::Status(grpc::ServerContext*, const Request&,
                                          Response&)>;
  // Default: negates float32 inputs[0]; repeats it for each partial.
  Hook<v1::ForwardRequest, v1::ForwardResponse> forward;
  // Default: the upstream gradient for each wrt, or the input without it.
  Hook<v1::BackwardRequest, v1::BackwardResponse> backward;
  // Default: accepts, with the id "sha256:1".
  Hook<v1::RegisterActivationRequest, v1::RegisterActivationResponse>
      register_activation;

  // Default: tells of "gelu" and "relu" on a page each, and takes only its own
  // page token.
  Hook<v1::ListActivationsRequest, v1::ListActivationsResponse>
      list_activations;
  // Default: takes 1,024 handles.
  Hook<v1::ReleaseResidualsRequest, v1::ReleaseResidualsResponse>
      release_residuals;
  // Default: of version "fake".
  Hook<v1::GetServerInfoRequest, v1::ServerInfo> get_server_info;

  // What the health check says: at first that it serves.
  void SetServing(bool serving);

  // False: errors lack the trailer that tells them from errors of gRPC or a
  // proxy.
  std::atomic<bool> marks_errors = true;

  std::atomic<int> num_forward = 0;
  std::atomic<int> num_backward = 0;
  std::atomic<int> num_register_activation = 0;

 private:
  grpc::Status Forward(grpc::ServerContext* context,
                       const v1::ForwardRequest* request,
                       v1::ForwardResponse* response) override;
  grpc::Status Backward(grpc::ServerContext* context,
                        const v1::BackwardRequest* request,
                        v1::BackwardResponse* response) override;
  grpc::Status RegisterActivation(
      grpc::ServerContext* context,
      const v1::RegisterActivationRequest* request,
      v1::RegisterActivationResponse* response) override;
  grpc::Status GetActivation(grpc::ServerContext* context,
                             const v1::GetActivationRequest* request,
                             v1::Activation* response) override;
  grpc::Status ListActivations(grpc::ServerContext* context,
                               const v1::ListActivationsRequest* request,
                               v1::ListActivationsResponse* response) override;
  grpc::Status ReleaseResiduals(
      grpc::ServerContext* context, const v1::ReleaseResidualsRequest* request,
      v1::ReleaseResidualsResponse* response) override;
  grpc::Status GetServerInfo(grpc::ServerContext* context,
                             const v1::GetServerInfoRequest* request,
                             v1::ServerInfo* response) override;

  // Adds the trailer to an error.
  grpc::Status Answer(grpc::ServerContext* context, grpc::Status status);

  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace actserve::testing

#endif  // ACTSERVE_CLIENT_CPP_TESTING_FAKE_SERVER_H_
