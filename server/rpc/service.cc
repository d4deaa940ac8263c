#include "server/rpc/service.h"

#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "kernels/base/status_macros.h"
#include "server/identity/tenant.h"
#include "server/observe/log.h"
#include "server/rpc/caller.h"
#include "server/rpc/status.h"
#include "server/tracing/grpc/call_headers.h"

namespace actserve {
namespace {

using Reactor = grpc::ServerUnaryReactor;

}  // namespace

Service::Service(const v1::ServerInfo& info, const ServingParts& parts,
                 CallCounter* calls, OpenStreams* streams, CallMetrics* metrics,
                 CallObserver* observer, const ControlPools& pools,
                 const Authenticator* authenticator)
    : parts_(parts),
      calls_(*calls),
      streams_(*streams),
      metrics_(metrics),
      observer_(*observer),
      pools_(pools),
      authenticator_(authenticator),
      registration_limit_{info.limits().max_registration_bytes(),
                          "--max_source_bytes"},
      control_calls_(&parts.memory, calls, metrics, observer, authenticator),
      methods_(info, parts) {}

void Service::set_addresses(const std::vector<std::string>& addresses) {
  methods_.set_addresses(addresses);
}

Reactor* Service::Forward(grpc::CallbackServerContext* context,
                          const grpc::ByteBuffer* request,
                          grpc::ByteBuffer* response) {
  return StartTensorCall(TensorMethod::kForward, context, request, response);
}

Reactor* Service::Backward(grpc::CallbackServerContext* context,
                           const grpc::ByteBuffer* request,
                           grpc::ByteBuffer* response) {
  return StartTensorCall(TensorMethod::kBackward, context, request, response);
}

StreamReactor* Service::ForwardStream(grpc::CallbackServerContext* context) {
  return StartStream(TensorMethod::kForward, context);
}

StreamReactor* Service::BackwardStream(grpc::CallbackServerContext* context) {
  return StartStream(TensorMethod::kBackward, context);
}

Reactor* Service::RegisterActivation(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) {
  const ControlCall call = {.context = context,
                            .method = Method::kRegisterActivation,
                            .request = request,
                            .response = response,
                            .pool = &pools_.registrations,
                            .limit = registration_limit_,
                            .role = Role::kRegister,
                            .ids = observer_.IdsOf(HeadersOf(*context))};
  using Request = v1::RegisterActivationRequest;
  return Serve<Request>(
      call, [this, id = call.ids.request_id](const CallerId& caller,
                                             const Request& request) {
        auto response = methods_.RegisterActivation(caller, request);
        if (response.ok() && response->created() &&
            registered_lines_.Allow(absl::Now())) {
          LogEvent(LogLevel::kInfo, "registered",
                   {{"activation", response->activation().id()},
                    {"request_id", id},
                    {"left_out", registered_lines_.TakeNumLeftOut()}});
        }
        return response;
      });
}

Reactor* Service::GetActivation(grpc::CallbackServerContext* context,
                                const grpc::ByteBuffer* request,
                                grpc::ByteBuffer* response) {
  const ControlCall call = {.context = context,
                            .method = Method::kGetActivation,
                            .request = request,
                            .response = response,
                            .pool = &pools_.lookups};
  using Request = v1::GetActivationRequest;
  return Serve<Request>(call,
                        [this](const CallerId& caller, const Request& request) {
                          return methods_.GetActivation(caller, request);
                        });
}

Reactor* Service::ListActivations(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) {
  const ControlCall call = {.context = context,
                            .method = Method::kListActivations,
                            .request = request,
                            .response = response,
                            .pool = &pools_.lookups};
  using Request = v1::ListActivationsRequest;
  return Serve<Request>(call,
                        [this](const CallerId& caller, const Request& request) {
                          return methods_.ListActivations(caller, request);
                        });
}

Reactor* Service::ReleaseResiduals(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) {
  using Request = v1::ReleaseResidualsRequest;
  return Serve<Request>({context, Method::kReleaseResiduals, request, response},
                        [this](const CallerId& caller, const Request& request) {
                          return absl::StatusOr<v1::ReleaseResidualsResponse>(
                              methods_.ReleaseResiduals(caller, request));
                        });
}

Reactor* Service::GetServerInfo(grpc::CallbackServerContext* context,
                                const grpc::ByteBuffer* request,
                                grpc::ByteBuffer* response) {
  using Request = v1::GetServerInfoRequest;
  return Serve<Request>(
      {context, Method::kGetServerInfo, request, response},
      [this](const CallerId&, const Request&) {
        return absl::StatusOr<v1::ServerInfo>(methods_.GetServerInfo());
      });
}

template <typename Request, typename Work>
Reactor* Service::Serve(const ControlCall& call, Work work) {
  return control_calls_.Serve<Request>(
      call, [](const Request& request) { return Check(request); },
      std::move(work));
}

void Service::Observe(Method method, const absl::Status& status,
                      grpc::CallbackServerContext* context) {
  if (!observer_.is_on()) return;
  CallRecord record;
  record.method = NameOf(method);
  record.received = absl::Now();
  record.ended = record.received;
  record.code = status.code();
  observer_.Observe(std::move(record), observer_.IdsOf(HeadersOf(*context)),
                    [context] { return context->peer(); });
}

Reactor* Service::StartTensorCall(TensorMethod tensor_method,
                                  grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) {
  const Method method = tensor_method == TensorMethod::kForward
                            ? Method::kForward
                            : Method::kBackward;
  const absl::StatusOr<CallerId> caller =
      Admit(*context, Role::kCompute, authenticator_);
  if (!caller.ok()) {
    return control_calls_.Deny({context, method, request, response},
                               caller.status());
  }
  if (!calls_.Enter()) return control_calls_.Refuse(context, method);
  auto* const reactor = new CallReactor(metrics_, method);
  (new TensorCall(tensor_method, *caller, parts_, &calls_, &observer_, context,
                  reactor, request, response))
      ->Start();
  return reactor;
}

StreamReactor* Service::StartStream(TensorMethod tensor_method,
                                    grpc::CallbackServerContext* context) {
  const Method method = tensor_method == TensorMethod::kForward
                            ? Method::kForwardStream
                            : Method::kBackwardStream;
  const absl::StatusOr<CallerId> caller =
      Admit(*context, Role::kCompute, authenticator_);
  if (!caller.ok()) {
    Observe(method, caller.status(), context);
    return new RefusedStream(caller.status(), method, metrics_, context);
  }
  if (!calls_.Enter()) {
    return new RefusedStream(DrainingError(), method, metrics_, context);
  }
  return StreamCall::Start(tensor_method, *caller,
                           {parts_, &calls_, &streams_, metrics_, &observer_},
                           context);
}

}  // namespace actserve
