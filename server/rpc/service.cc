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

absl::Status DrainingError() {
  return absl::UnavailableError("the server is shutting down");
}

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
  Seen seen = See(call);
  auto request = std::make_shared<Request>();
  const absl::StatusOr<CallerId> admitted =
      Admit(*call.context, call.role, authenticator_);
  absl::Status status = admitted.status();
  if (status.ok()) {
    seen.record.tenant = TenantNameOf(*admitted);
    const grpc::ByteBuffer message = TakeRequest(call.request);
    if (metrics_ != nullptr && message.Valid()) {
      metrics_->CountReceived(static_cast<int64_t>(message.Length()));
    }
    status = ReadMessage(message, call.limit, request.get());
  } else {
    TakeRequest(call.request);
  }
  if (status.ok()) status = Check(*request);
  if (!status.ok()) {
    return Answer(call, std::move(seen), [&] { return status; });
  }
  // gRPC keeps the response's place until the call is finished.
  auto answer = [this, request = std::move(request), work = std::move(work),
                 bytes = call.response, caller = *admitted] {
    ACTSERVE_ASSIGN_OR_RETURN(const auto response, work(caller, *request));
    ACTSERVE_ASSIGN_OR_RETURN(
        MemoryBudget::Charge charge,
        parts_.memory.Take(MemoryBudget::Half::kResults, caller,
                           static_cast<int64_t>(response.ByteSizeLong())));
    *bytes = WriteMessage(response, std::move(charge));
    if (metrics_ != nullptr) {
      metrics_->CountSent(static_cast<int64_t>(bytes->Length()));
    }
    return absl::OkStatus();
  };
  return call.pool != nullptr
             ? AnswerOnPool(call, *admitted, std::move(seen), std::move(answer))
             : Answer(call, std::move(seen), answer);
}

Service::Seen Service::See(const ControlCall& call) const {
  Seen seen;
  seen.record.method = NameOf(call.method);
  seen.record.received = absl::Now();
  seen.record.request_bytes = SizeOf(*call.request);
  seen.ids = !call.ids.request_id.empty() || !observer_.is_on()
                 ? call.ids
                 : observer_.IdsOf(HeadersOf(*call.context));
  return seen;
}

void Service::Observe(Seen seen, const absl::Status& status,
                      grpc::CallbackServerContext* context) {
  if (!observer_.is_on()) return;
  seen.record.code = status.code();
  seen.record.ended = absl::Now();
  observer_.Observe(std::move(seen.record), std::move(seen.ids),
                    [context] { return context->peer(); });
}

Reactor* Service::Refuse(grpc::CallbackServerContext* context, Method method) {
  auto* const reactor = new CallReactor(metrics_, method);
  Finish(DrainingError(), context, reactor);
  return reactor;
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
    const ControlCall call = {.context = context,
                              .method = method,
                              .request = request,
                              .response = response};
    Seen seen = See(call);
    TakeRequest(request);
    return Answer(call, std::move(seen), [&] { return caller.status(); });
  }
  if (!calls_.Enter()) return Refuse(context, method);
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
    Seen seen;
    seen.record.method = NameOf(method);
    seen.record.received = absl::Now();
    if (observer_.is_on()) seen.ids = observer_.IdsOf(HeadersOf(*context));
    Observe(std::move(seen), caller.status(), context);
    return new RefusedStream(caller.status(), method, metrics_, context);
  }
  if (!calls_.Enter()) {
    return new RefusedStream(DrainingError(), method, metrics_, context);
  }
  return StreamCall::Start(tensor_method, *caller,
                           {parts_, &calls_, &streams_, metrics_, &observer_},
                           context);
}

Reactor* Service::Answer(const ControlCall& call, Seen seen,
                         const std::function<absl::Status()>& work) {
  if (!calls_.Enter()) return Refuse(call.context, call.method);
  auto* const reactor = new CallReactor(metrics_, call.method);
  const absl::Status status = work();
  seen.record.response_bytes = SizeOf(*call.response);
  Observe(std::move(seen), status, call.context);
  Finish(status, call.context, reactor);
  calls_.Leave();
  return reactor;
}

Reactor* Service::AnswerOnPool(const ControlCall& call, const CallerId& caller,
                               Seen seen, std::function<absl::Status()> work) {
  grpc::CallbackServerContext* const context = call.context;
  if (!calls_.Enter()) return Refuse(context, call.method);
  auto* const reactor = new CallReactor(metrics_, call.method);
  const absl::Time submitted = absl::Now();
  call.pool->Submit(
      caller, [this, context, reactor, response = call.response, submitted,
               seen = std::move(seen),
               work = std::move(work)](const absl::Status& turn) mutable {
        seen.record.steps.queue = {submitted, absl::Now()};
        absl::Status status = turn;
        if (status.ok()) {
          status = context->IsCancelled()
                       ? absl::CancelledError("cancelled before it was done")
                       : work();
        }
        seen.record.response_bytes = SizeOf(*response);
        Observe(std::move(seen), status, context);
        Finish(status, context, reactor);
        calls_.Leave();
      });
  return reactor;
}

}  // namespace actserve
