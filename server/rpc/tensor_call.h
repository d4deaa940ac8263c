#ifndef ACTSERVE_SERVER_RPC_TENSOR_CALL_H_
#define ACTSERVE_SERVER_RPC_TENSOR_CALL_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "server/evaluation/call_counter.h"
#include "server/evaluation/tensor_evaluation.h"
#include "server/metrics/calls/call_reactor.h"
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
  // Gets the bytes of the message, and charges for them.
  absl::StatusOr<std::vector<Fragment>> Take();
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

  // The memory of the inputs, and the charge for it.
  struct Message {
    // Goes after the slices: the last reference to memory of gRPC's quota may
    // not be a slice's, because on a thread of ours that crashes gRPC 1.51
    // while memory is short. Destroying a ByteBuffer prepares the thread.
    grpc::ByteBuffer bytes;
    std::vector<grpc::Slice> slices = {};
    MemoryBudget::Charge charge = {};
  };
  // Empty if a residual owns it.
  Message message_;
  // Null: nobody wants to know.
  std::unique_ptr<CallRecord> record_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_TENSOR_CALL_H_
