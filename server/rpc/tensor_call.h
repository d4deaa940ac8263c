#ifndef ACTSERVE_SERVER_RPC_TENSOR_CALL_H_
#define ACTSERVE_SERVER_RPC_TENSOR_CALL_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "server/evaluation/call_counter.h"
#include "server/evaluation/tensor_evaluation.h"
#include "server/metrics/calls/call_reactor.h"
#include "server/rpc/byte_buffer.h"
#include "server/tracing/call_observer.h"

namespace actserve {

// The unary gRPC door to an evaluation: one Forward or Backward.
//
// The call owns itself and everything that it computes from, and deletes itself
// in Finish().
//
// The class is no reactor: see CallReactor.
class TensorCall final : private TensorEvaluation {
 public:
  // The call leaves `calls`, which it must have entered, at its end. Until then
  // `parts` and the objects of the call must live; gRPC keeps the latter, and
  // `observer` outlives it. Takes the bytes of `request`.
  TensorCall(TensorMethod method, const CallerId& caller,
             const ServingParts& parts, CallCounter* calls,
             CallObserver* observer, grpc::CallbackServerContext* context,
             CallReactor* reactor, const grpc::ByteBuffer* request,
             grpc::ByteBuffer* response);

  // Starts the call; call it once. Computes on this thread only if the work is
  // small and compiled.
  void Start();

 private:
  CallerId caller() const override { return caller_; }
  bool IsCancelled() const override { return context_.IsCancelled(); }
  std::shared_ptr<const void> ReleaseInputs() override;
  void Respond(EncodedResponse response, const Stages& stages) override;
  void Fail(const absl::Status& status) override { Finish(status); }
  void Finish(absl::Status status);
  void Observe(const absl::Status& status);

  const CallerId caller_;
  CallCounter& calls_;
  CallObserver& observer_;
  grpc::CallbackServerContext& context_;
  CallReactor& reactor_;
  grpc::ByteBuffer& response_bytes_;

  // Empty if a residual owns it.
  ReceivedMessage message_;
  // Null: nobody wants to know.
  std::unique_ptr<CallRecord> record_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_TENSOR_CALL_H_
