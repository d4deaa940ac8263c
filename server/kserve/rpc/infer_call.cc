#include "server/kserve/rpc/infer_call.h"

#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "server/evaluation/count_stages.h"
#include "server/observe/service_name.h"
#include "server/rpc/status.h"
#include "server/tracing/grpc/call_headers.h"

namespace actserve::kserve {

InferCall::InferCall(const CallerId& caller, const ServingParts& parts,
                     const InferState& state, CallCounter* calls,
                     CallObserver* observer,
                     grpc::CallbackServerContext* context, CallReactor* reactor,
                     const grpc::ByteBuffer* request,
                     grpc::ByteBuffer* response)
    : Inference(parts, state, /*is_streamed=*/false, absl::Now(),
                absl::FromChrono(context->deadline())),
      caller_(caller),
      calls_(*calls),
      observer_(*observer),
      context_(*context),
      reactor_(*reactor),
      response_bytes_(*response),
      received_message_{.bytes = TakeRequest(request)} {
  if (!observer_.is_on()) return;
  record_ = std::make_unique<CallRecord>();
  record_->service = kKserveServiceName;
  record_->method = NameOf(Method::kModelInfer);
  record_->request_bytes = SizeOf(received_message_.bytes);
  set_record(record_.get());
}

void InferCall::Start() {
  const absl::StatusOr<std::vector<Fragment>> bytes =
      received_message_.Open(caller(), parts().memory, reactor_.metrics());
  if (!bytes.ok()) return Finish(bytes.status());
  Infer(*bytes);
}

void InferCall::Respond(EncodedResponse response, const Stages& stages) {
  response_bytes_ = ToByteBuffer(std::move(response), &calls_);
  if (record_ != nullptr) {
    record_->response_bytes = SizeOf(response_bytes_);
  }
  if (CallMetrics* const metrics = reactor_.metrics()) {
    metrics->CountSent(SizeOf(response_bytes_));
    CountStages(stages, metrics);
  }
  Finish(absl::OkStatus());
}

void InferCall::Finish(const absl::Status& status) {
  if (record_ != nullptr) {
    CompleteRecord(status.code());
    observer_.Observe(std::move(*record_), observer_.IdsOf(HeadersOf(context_)),
                      [this] { return context_.peer(); });
  }
  CallCounter& calls = calls_;
  actserve::Finish(status, &context_, &reactor_);
  delete this;
  calls.Leave();
}

}  // namespace actserve::kserve
