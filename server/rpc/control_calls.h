#ifndef ACTSERVE_SERVER_RPC_CONTROL_CALLS_H_
#define ACTSERVE_SERVER_RPC_CONTROL_CALLS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "kernels/base/status_macros.h"
#include "server/evaluation/call_counter.h"
#include "server/identity/authenticator.h"
#include "server/identity/roles.h"
#include "server/identity/tenant.h"
#include "server/message/control_request.h"
#include "server/metrics/call_metrics.h"
#include "server/observe/service_name.h"
#include "server/rpc/byte_buffer.h"
#include "server/rpc/caller.h"
#include "server/scheduling/caller_id.h"
#include "server/scheduling/worker_pool.h"
#include "server/state/memory_budget.h"
#include "server/tracing/call_observer.h"

namespace actserve {

// How a call without tensors is served.
struct ControlCall {
  grpc::CallbackServerContext* context;
  Method method;
  const grpc::ByteBuffer* request;
  grpc::ByteBuffer* response;
  // Where to answer; null: at once, on this thread, as a request is that is
  // refused.
  WorkerPool* pool = nullptr;
  SizeLimit limit = {kMaxControlMessageBytes};
  // Who may call it.
  Role role = Role::kCompute;
  // What the call is known by; empty: to be decided.
  CallIds ids = {};
  // How it is observed; empty: by its method.
  absl::string_view service = kServiceName;
  absl::string_view name = {};
  // True if who may ask for the health of the server may call it.
  bool is_health = false;
};

// Serves the unary calls of a service that carry no tensors, and refuses those
// that do: admits, measures, parses, counts and observes them. Once `calls` is
// closed they are answered UNAVAILABLE. Thread-safe.
class ControlCalls {
 public:
  using Reactor = grpc::ServerUnaryReactor;

  // All must outlive this object; `metrics` and `authenticator` may be null.
  ControlCalls(MemoryBudget* memory, CallCounter* calls, CallMetrics* metrics,
               CallObserver* observer, const Authenticator* authenticator)
      : memory_(*memory),
        calls_(*calls),
        metrics_(metrics),
        observer_(*observer),
        authenticator_(authenticator) {}

  // Checks the caller and the request and answers with what `work` makes of it,
  // an absl::StatusOr<Response>(const CallerId&, const Request&). `check` is an
  // absl::Status(const Request&).
  template <typename Request, typename Check, typename Work>
  Reactor* Serve(const ControlCall& call, Check check, Work work);

  // Answers a call that is not admitted.
  Reactor* Deny(const ControlCall& call, const absl::Status& status);
  // Answers a call that comes while the server drains.
  Reactor* Refuse(grpc::CallbackServerContext* context, Method method);

 private:
  // What is known of a control call, until the observer gets it.
  struct Seen {
    CallRecord record;
    CallIds ids;
  };
  Seen See(const ControlCall& call) const;
  void Observe(Seen seen, const absl::Status& status,
               grpc::CallbackServerContext* context);
  absl::StatusOr<CallerId> Admit(const ControlCall& call) const;
  // Answers at once with the result of `work`.
  Reactor* Answer(const ControlCall& call, Seen seen,
                  const std::function<absl::Status()>& work);
  // The same on a thread of the call's pool. RESOURCE_EXHAUSTED if the caller
  // fills its queue.
  Reactor* AnswerOnPool(const ControlCall& call, const CallerId& caller,
                        Seen seen, std::function<absl::Status()> work);

  MemoryBudget& memory_;
  CallCounter& calls_;
  CallMetrics* const metrics_;
  CallObserver& observer_;
  const Authenticator* const authenticator_;
};

// The error for a call that comes while the server drains.
absl::Status DrainingError();

template <typename Request, typename Check, typename Work>
ControlCalls::Reactor* ControlCalls::Serve(const ControlCall& call, Check check,
                                           Work work) {
  Seen seen = See(call);
  auto request = std::make_shared<Request>();
  const absl::StatusOr<CallerId> admitted = Admit(call);
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
  if (status.ok()) status = check(*request);
  if (!status.ok()) {
    return Answer(call, std::move(seen), [&] { return status; });
  }
  // gRPC keeps the response's place until the call is finished.
  auto answer = [this, request = std::move(request), work = std::move(work),
                 bytes = call.response, caller = *admitted] {
    ACTSERVE_ASSIGN_OR_RETURN(const auto response, work(caller, *request));
    ACTSERVE_ASSIGN_OR_RETURN(
        MemoryBudget::Charge charge,
        memory_.Take(MemoryBudget::Half::kResults, caller,
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

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_CONTROL_CALLS_H_
