#ifndef ACTSERVE_SERVER_KSERVE_RPC_INFER_CALL_H_
#define ACTSERVE_SERVER_KSERVE_RPC_INFER_CALL_H_

#include <memory>

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "server/evaluation/call_counter.h"
#include "server/kserve/inference.h"
#include "server/metrics/calls/call_reactor.h"
#include "server/rpc/byte_buffer.h"
#include "server/scheduling/caller_id.h"
#include "server/tracing/call_observer.h"

namespace actserve::kserve {

// The unary gRPC door to an inference: one ModelInfer. It owns itself and
// everything that it computes from; see TensorCall.
class InferCall final : private Inference {
 public:
  // The call leaves `calls`, which it must have entered, at its end. Until then
  // `parts` and the objects of the call must live; gRPC keeps the latter, and
  // `observer` outlives it. Takes the bytes of `request`.
  InferCall(const CallerId& caller, const ServingParts& parts,
            const InferState& state, CallCounter* calls, CallObserver* observer,
            grpc::CallbackServerContext* context, CallReactor* reactor,
            const grpc::ByteBuffer* request, grpc::ByteBuffer* response);

  // Starts the call; call it once.
  void Start();

 private:
  CallerId caller() const override { return caller_; }
  bool IsCancelled() const override { return context_.IsCancelled(); }
  void Respond(EncodedResponse response, const Stages& stages) override;
  void Refuse(const absl::Status& status) override { Finish(status); }
  void Finish(const absl::Status& status);

  const CallerId caller_;
  CallCounter& calls_;
  CallObserver& observer_;
  grpc::CallbackServerContext& context_;
  CallReactor& reactor_;
  grpc::ByteBuffer& response_bytes_;
  ReceivedMessage received_message_;
  // Null: nobody wants to know.
  std::unique_ptr<CallRecord> record_;
};

}  // namespace actserve::kserve

#endif  // ACTSERVE_SERVER_KSERVE_RPC_INFER_CALL_H_
