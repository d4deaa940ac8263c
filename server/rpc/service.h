#ifndef ACTSERVE_SERVER_RPC_SERVICE_H_
#define ACTSERVE_SERVER_RPC_SERVICE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "actserve/v1/service.grpc.pb.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/connections/open_streams.h"
#include "server/control/control_methods.h"
#include "server/evaluation/call_counter.h"
#include "server/identity/authenticator.h"
#include "server/message/control_request.h"
#include "server/metrics/call_metrics.h"
#include "server/observe/line_limit.h"
#include "server/rpc/control_calls.h"
#include "server/rpc/control_pools.h"
#include "server/rpc/stream_call.h"
#include "server/rpc/tensor_call.h"
#include "server/tracing/call_observer.h"

namespace actserve {

namespace internal {

// All methods are raw: a request is measured before it is parsed.
using S = v1::ActivationService;
using ServiceMethods = S::WithRawCallbackMethod_Forward<
    S::WithRawCallbackMethod_Backward<S::WithRawCallbackMethod_ForwardStream<
        S::WithRawCallbackMethod_BackwardStream<
            S::WithRawCallbackMethod_RegisterActivation<
                S::WithRawCallbackMethod_GetActivation<
                    S::WithRawCallbackMethod_ListActivations<
                        S::WithRawCallbackMethod_ReleaseResiduals<
                            S::WithRawCallbackMethod_GetServerInfo<
                                S::Service>>>>>>>>>;

}  // namespace internal

// The methods of proto/actserve/v1/service.proto. A tensor call is a
// TensorCall, a stream a StreamCall, and work that takes longer than a lookup
// goes to `pools`. Every call is counted in `calls`; once that is closed, calls
// are answered UNAVAILABLE. `observer` is told of every other call.
class Service final : public internal::ServiceMethods {
 public:
  // `info` is the part of ServerInfo that does not change. A null
  // `authenticator` lets everyone in. The others must outlive the service;
  // `metrics` may be null.
  Service(const v1::ServerInfo& info, const ServingParts& parts,
          CallCounter* calls, OpenStreams* streams, CallMetrics* metrics,
          CallObserver* observer, const ControlPools& pools,
          const Authenticator* authenticator);

  // Sets the addresses for GetServerInfo, which are known only once the server
  // listens.
  void set_addresses(const std::vector<std::string>& addresses);

  grpc::ServerUnaryReactor* Forward(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Backward(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  StreamReactor* ForwardStream(grpc::CallbackServerContext* context) override;
  StreamReactor* BackwardStream(grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* RegisterActivation(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetActivation(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ListActivations(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ReleaseResiduals(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;

 private:
  grpc::ServerUnaryReactor* StartTensorCall(
      TensorMethod tensor_method, grpc::CallbackServerContext* context,
      const grpc::ByteBuffer* request, grpc::ByteBuffer* response);
  StreamReactor* StartStream(TensorMethod tensor_method,
                             grpc::CallbackServerContext* context);
  // As ControlCalls::Serve(), with the Check() of the request.
  template <typename Request, typename Work>
  grpc::ServerUnaryReactor* Serve(const ControlCall& call, Work work);
  // What a stream that is refused is observed by.
  void Observe(Method method, const absl::Status& status,
               grpc::CallbackServerContext* context);

  const ServingParts& parts_;
  CallCounter& calls_;
  OpenStreams& streams_;
  CallMetrics* const metrics_;
  CallObserver& observer_;
  const ControlPools pools_;
  const Authenticator* const authenticator_;
  const SizeLimit registration_limit_;
  LineLimit registered_lines_{10};
  ControlCalls control_calls_;
  ControlMethods methods_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_SERVICE_H_
