#include "server/rpc/control_calls.h"

#include "absl/time/clock.h"
#include "server/metrics/calls/call_reactor.h"
#include "server/rpc/status.h"
#include "server/tracing/grpc/call_headers.h"

namespace actserve {

using Reactor = ControlCalls::Reactor;

absl::Status DrainingError() {
  return absl::UnavailableError("the server is shutting down");
}

absl::StatusOr<CallerId> ControlCalls::Admit(const ControlCall& call) const {
  if (!call.is_health) {
    return actserve::Admit(*call.context, call.role, authenticator_);
  }
  ACTSERVE_RETURN_IF_ERROR(AdmitHealth(*call.context, authenticator_));
  return CallerOf(*call.context);
}

ControlCalls::Seen ControlCalls::See(const ControlCall& call) const {
  Seen seen;
  seen.record.service = call.service;
  seen.record.method = call.name.empty() ? NameOf(call.method) : call.name;
  seen.record.received = absl::Now();
  seen.record.request_bytes = SizeOf(*call.request);
  seen.ids = !call.ids.request_id.empty() || !observer_.is_on()
                 ? call.ids
                 : observer_.IdsOf(HeadersOf(*call.context));
  return seen;
}

void ControlCalls::Observe(Seen seen, const absl::Status& status,
                           grpc::CallbackServerContext* context) {
  if (!observer_.is_on()) return;
  seen.record.code = status.code();
  seen.record.ended = absl::Now();
  observer_.Observe(std::move(seen.record), std::move(seen.ids),
                    [context] { return context->peer(); });
}

Reactor* ControlCalls::Deny(const ControlCall& call,
                            const absl::Status& status) {
  Seen seen = See(call);
  TakeRequest(call.request);
  return Answer(call, std::move(seen), [&] { return status; });
}

Reactor* ControlCalls::Refuse(grpc::CallbackServerContext* context,
                              Method method) {
  auto* const reactor = new CallReactor(metrics_, method);
  Finish(DrainingError(), context, reactor);
  return reactor;
}

Reactor* ControlCalls::Answer(const ControlCall& call, Seen seen,
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

Reactor* ControlCalls::AnswerOnPool(const ControlCall& call,
                                    const CallerId& caller, Seen seen,
                                    std::function<absl::Status()> work) {
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
