#include "server/rpc/tensor_call.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "kernels/base/status_macros.h"
#include "server/evaluation/count_stages.h"
#include "server/message/response.h"
#include "server/rpc/byte_buffer.h"
#include "server/rpc/caller.h"
#include "server/rpc/planted/faults.h"
#include "server/rpc/status.h"
#include "server/tracing/grpc/call_headers.h"

namespace actserve {

TensorCall::TensorCall(TensorMethod method, const CallerId& caller,
                       const ServingParts& parts, CallCounter* calls,
                       CallObserver* observer,
                       grpc::CallbackServerContext* context,
                       CallReactor* reactor, const grpc::ByteBuffer* request,
                       grpc::ByteBuffer* response)
    : TensorEvaluation(method, parts, absl::Now(),
                       absl::FromChrono(context->deadline())),
      caller_(caller),
      calls_(*calls),
      observer_(*observer),
      context_(*context),
      reactor_(*reactor),
      response_bytes_(*response),
      message_{.bytes = TakeRequest(request)} {
  if (!observer_.is_on()) return;
  record_ = std::make_unique<CallRecord>();
  record_->method = method == TensorMethod::kForward ? "Forward" : "Backward";
  record_->request_bytes = SizeOf(message_.bytes);
  set_record(record_.get());
}

void TensorCall::Start() {
  const absl::StatusOr<std::vector<Fragment>> bytes =
      message_.Open(caller(), parts().memory, reactor_.metrics());
  if (!bytes.ok()) return Finish(bytes.status());
  Run(*bytes);
}

std::shared_ptr<const void> TensorCall::ReleaseInputs() {
  auto message = std::make_shared<ReceivedMessage>();
  message->bytes.Swap(&message_.bytes);
  message->slices = std::move(message_.slices);
  message->charge = std::move(message_.charge);
  message->charge.LeaveFlight();
  return message;
}

void TensorCall::Respond(EncodedResponse response, const Stages& stages) {
  response_bytes_ = ToByteBuffer(std::move(response), &calls_);
  if (record_ != nullptr) {
    record_->response_bytes = SizeOf(response_bytes_);
  }
  if (CallMetrics* const metrics = reactor_.metrics()) {
    metrics->CountSent(static_cast<int64_t>(response_bytes_.Length()));
    CountStages(stages, metrics);
  }
  Finish(absl::OkStatus());
}

void TensorCall::Finish(absl::Status status) {
  if (!PassesPlantedFaults(&status, &response_bytes_)) return;
  if (record_ != nullptr) Observe(status);
  CallCounter& calls = calls_;
  actserve::Finish(status, &context_, &reactor_);
  delete this;
  calls.Leave();
}

void TensorCall::Observe(const absl::Status& status) {
  CompleteRecord(status.code());
  observer_.Observe(std::move(*record_), observer_.IdsOf(HeadersOf(context_)),
                    [this] { return context_.peer(); });
}

}  // namespace actserve
