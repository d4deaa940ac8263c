#include "server/rpc/service.h"

#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "kernels/base/status_macros.h"
#include "proto/duration.h"
#include "server/message/activation_info.h"
#include "server/message/errors.h"
#include "server/observe/log.h"
#include "server/rpc/caller.h"
#include "server/rpc/status.h"
#include "server/tracing/grpc/call_headers.h"

namespace actserve {
namespace {

using Reactor = grpc::ServerUnaryReactor;

// Limit on the warnings and notes in the answer to a registration.
constexpr size_t kMaxWarningBytes = size_t{64} << 10;

void SetCounters(const SchedulerCounters& counters, int64_t num_launches,
                 v1::DeviceCounters* message) {
  message->set_num_inline_requests(counters.num_inline_jobs);
  message->set_num_queued_requests(counters.num_queued_jobs);
  message->set_num_batches(counters.num_batches);
  for (int64_t count : counters.batch_sizes) message->add_batch_sizes(count);
  *message->mutable_total_queue_wait() = ToProto(counters.queue_wait);
  *message->mutable_max_queue_wait() = ToProto(counters.max_queue_wait);
  message->set_num_launches(num_launches);
  message->set_num_refused(counters.num_refused);
  message->set_num_expired(counters.num_expired);
  message->set_num_cancelled(counters.num_cancelled);
  message->set_num_failed(counters.num_failed);
  message->set_num_reruns(counters.num_reruns);
  message->set_num_waiting(counters.num_waiting);
  message->set_waiting_bytes(counters.waiting_bytes);
  message->set_num_running_batches(counters.num_running_batches);
}

}  // namespace

Service::Service(const v1::ServerInfo& info, const ServingParts& parts,
                 CallCounter* calls, CallMetrics* metrics,
                 CallObserver* observer, const ControlPools& pools,
                 const Authenticator* authenticator)
    : parts_(parts),
      calls_(*calls),
      metrics_(metrics),
      observer_(*observer),
      pools_(pools),
      authenticator_(authenticator),
      registration_limit_{info.limits().max_registration_bytes(),
                          "--max_source_bytes"},
      info_(info) {}

void Service::set_addresses(const std::vector<std::string>& addresses) {
  absl::MutexLock lock(&mu_);
  info_.mutable_addresses()->Assign(addresses.begin(), addresses.end());
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
  using Response = v1::RegisterActivationResponse;
  return Serve<Request, Response>(
      call,
      [this, id = call.ids.request_id](
          const CallerId& caller, const Request& request, Response* response) {
        std::vector<Diagnostic> diagnostics;
        auto registration = parts_.registry.Register(
            TextOf(request), &diagnostics, caller.tenant);
        if (!registration.ok()) {
          return WithDiagnostics(registration.status(), diagnostics);
        }
        *response->mutable_activation() =
            Details(*registration->activation, /*with_gradients=*/false);
        AddDiagnostics(diagnostics, kMaxWarningBytes,
                       response->mutable_diagnostics());
        response->set_created(registration->created);
        if (registration->created && registered_lines_.Allow(absl::Now())) {
          LogEvent(LogLevel::kInfo, "registered",
                   {{"activation", response->activation().id()},
                    {"request_id", id},
                    {"left_out", registered_lines_.TakeNumLeftOut()}});
        }
        return absl::OkStatus();
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
  return Serve<Request, v1::Activation>(
      call, [this](const CallerId& caller, const Request& request,
                   v1::Activation* response) {
        auto found = parts_.registry.Find(request.activation(), caller.tenant);
        if (found == nullptr) {
          return ActivationUnknownError(request.activation());
        }
        *response = Details(*found, request.with_gradients());
        return absl::OkStatus();
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
  using Response = v1::ListActivationsResponse;
  return Serve<Request, Response>(
      call, [this](const CallerId& caller, const Request& request,
                   Response* response) {
        ACTSERVE_ASSIGN_OR_RETURN(
            *response, ListPage(request, parts_.registry, caller.tenant));
        return absl::OkStatus();
      });
}

Reactor* Service::ReleaseResiduals(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) {
  using Request = v1::ReleaseResidualsRequest;
  using Response = v1::ReleaseResidualsResponse;
  return Serve<Request, Response>(
      {context, Method::kReleaseResiduals, request, response},
      [this](const CallerId& caller, const Request& request,
             Response* response) {
        int num_released = 0;
        for (const std::string& handle : request.handles()) {
          if (parts_.residuals.Release(handle, caller.tenant)) ++num_released;
        }
        response->set_num_released(num_released);
        return absl::OkStatus();
      });
}

Reactor* Service::GetServerInfo(grpc::CallbackServerContext* context,
                                const grpc::ByteBuffer* request,
                                grpc::ByteBuffer* response) {
  using Request = v1::GetServerInfoRequest;
  return Serve<Request, v1::ServerInfo>(
      {context, Method::kGetServerInfo, request, response},
      [this](const CallerId&, const Request&, v1::ServerInfo* response) {
        {
          absl::MutexLock lock(&mu_);
          *response = info_;
        }
        SetCounters(parts_.scheduler.counters(), parts_.device.num_launches(),
                    response->mutable_devices(0)->mutable_counters());
        return absl::OkStatus();
      });
}

template <typename Request, typename Response, typename Work>
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
    Response response;
    ACTSERVE_RETURN_IF_ERROR(work(caller, *request, &response));
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
  Finish(absl::UnavailableError("the server is shutting down"), context,
         reactor);
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
