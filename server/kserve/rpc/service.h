#ifndef ACTSERVE_SERVER_KSERVE_RPC_SERVICE_H_
#define ACTSERVE_SERVER_KSERVE_RPC_SERVICE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "inference/grpc_service.grpc.pb.h"
#include "server/kserve/inference.h"
#include "server/kserve/regions.h"
#include "server/kserve/statistics.h"
#include "server/rpc/control_calls.h"
#include "server/rpc/listener.h"
#include "server/rpc/stream_call.h"

namespace actserve::kserve {

namespace internal {

// All methods are raw: a request is measured before it is parsed.
using S = inference::GRPCInferenceService;
template <typename Base>
using InferMethods = S::WithRawCallbackMethod_ModelInfer<
    S::WithRawCallbackMethod_ModelStreamInfer<Base>>;
template <typename Base>
using ServerMethods =
    S::WithRawCallbackMethod_ServerLive<S::WithRawCallbackMethod_ServerReady<
        S::WithRawCallbackMethod_ServerMetadata<
            S::WithRawCallbackMethod_TraceSetting<
                S::WithRawCallbackMethod_LogSettings<Base>>>>>;
template <typename Base>
using ModelMethods = S::WithRawCallbackMethod_ModelReady<
    S::WithRawCallbackMethod_ModelMetadata<S::WithRawCallbackMethod_ModelConfig<
        S::WithRawCallbackMethod_ModelStatistics<
            S::WithRawCallbackMethod_RepositoryIndex<
                S::WithRawCallbackMethod_RepositoryModelLoad<
                    S::WithRawCallbackMethod_RepositoryModelUnload<Base>>>>>>>;
template <typename Base>
using SharedMemoryMethods = S::WithRawCallbackMethod_SystemSharedMemoryStatus<
    S::WithRawCallbackMethod_SystemSharedMemoryRegister<
        S::WithRawCallbackMethod_SystemSharedMemoryUnregister<
            S::WithRawCallbackMethod_CudaSharedMemoryStatus<
                S::WithRawCallbackMethod_CudaSharedMemoryRegister<
                    S::WithRawCallbackMethod_CudaSharedMemoryUnregister<
                        Base>>>>>>;
using Methods =
    InferMethods<ServerMethods<ModelMethods<SharedMemoryMethods<S::Service>>>>;

}  // namespace internal

// The methods of proto/inference/grpc_service.proto. Calls pass the same gate
// as those of the activation service, and are counted and observed likewise.
class Service final : public internal::Methods {
 public:
  // `version` is that of the server.
  Service(const ServiceParts& parts, std::string version, bool shared_memory);

  using Context = grpc::CallbackServerContext;
  using Bytes = grpc::ByteBuffer;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* ModelInfer(Context* context, const Bytes* request,
                      Bytes* response) override;
  StreamReactor* ModelStreamInfer(Context* context) override;

  Reactor* ServerLive(Context* context, const Bytes* request,
                      Bytes* response) override;
  Reactor* ServerReady(Context* context, const Bytes* request,
                       Bytes* response) override;
  Reactor* ServerMetadata(Context* context, const Bytes* request,
                          Bytes* response) override;
  Reactor* ModelReady(Context* context, const Bytes* request,
                      Bytes* response) override;
  Reactor* ModelMetadata(Context* context, const Bytes* request,
                         Bytes* response) override;
  Reactor* ModelConfig(Context* context, const Bytes* request,
                       Bytes* response) override;
  Reactor* ModelStatistics(Context* context, const Bytes* request,
                           Bytes* response) override;
  Reactor* RepositoryIndex(Context* context, const Bytes* request,
                           Bytes* response) override;
  Reactor* SystemSharedMemoryStatus(Context* context, const Bytes* request,
                                    Bytes* response) override;
  Reactor* SystemSharedMemoryRegister(Context* context, const Bytes* request,
                                      Bytes* response) override;
  Reactor* SystemSharedMemoryUnregister(Context* context, const Bytes* request,
                                        Bytes* response) override;
  Reactor* CudaSharedMemoryStatus(Context* context, const Bytes* request,
                                  Bytes* response) override;
  Reactor* CudaSharedMemoryUnregister(Context* context, const Bytes* request,
                                      Bytes* response) override;

  // UNIMPLEMENTED, with the reason.
  Reactor* CudaSharedMemoryRegister(Context* context, const Bytes* request,
                                    Bytes* response) override;
  Reactor* RepositoryModelLoad(Context* context, const Bytes* request,
                               Bytes* response) override;
  Reactor* RepositoryModelUnload(Context* context, const Bytes* request,
                                 Bytes* response) override;
  Reactor* TraceSetting(Context* context, const Bytes* request,
                        Bytes* response) override;
  Reactor* LogSettings(Context* context, const Bytes* request,
                       Bytes* response) override;

 private:
  template <typename Request, typename Work>
  Reactor* Serve(const ControlCall& call, Work work);
  template <typename Request, typename Response>
  Reactor* NotServed(const ControlCall& call, absl::string_view why);
  // The model of the name and version that `asked` has, as its caller sees it.
  template <typename Request>
  absl::StatusOr<Model> Find(const CallerId& caller, const Request& asked);

  const ServiceParts parts_;
  const std::string version_;
  Statistics statistics_;
  KnownRequests known_;
  // Null if no memory is shared.
  const std::unique_ptr<Regions> regions_;
  const InferState state_;
  ControlCalls control_calls_;
};

}  // namespace actserve::kserve

#endif  // ACTSERVE_SERVER_KSERVE_RPC_SERVICE_H_
