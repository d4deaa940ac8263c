#ifndef ACTSERVE_SERVER_RPC_TENSOR_CALL_H_
#define ACTSERVE_SERVER_RPC_TENSOR_CALL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/evaluation/plan_cache.h"
#include "server/message/request.h"
#include "server/message/split_request.h"
#include "server/rpc/call_counter.h"
#include "server/scheduling/scheduler.h"
#include "server/state/buffer_pool.h"
#include "server/state/programs.h"
#include "server/state/registry.h"
#include "server/state/residuals.h"

namespace actserve {

// What calls work with. Outlives them all.
struct ServingParts {
  RequestLimits limits;
  Device& device;
  // Why it is that one, for people.
  const std::string& device_reason;
  Registry& registry;
  PlanCache& plans;
  Programs& programs;
  Scheduler& scheduler;
  Residuals& residuals;
  BufferPool& buffers;
  CallCounter& calls;
};

// One Forward or Backward from its bytes to its bytes:
//
//   Start: split -> plan known ----------> Execute -> Done -> Respond -> Finish
//              \-> decode -> program known -/
//                      \-> compiled elsewhere -/
//
// and on an error, from any of them, Finish at once. It owns itself and all
// that it computes from, and deletes itself in Finish().
//
// It is no reactor: the reactions of one of our own would each cost a hop to
// another thread, those of gRPC's default reactor do not.
class TensorCall final : private Scheduler::Job {
 public:
  using Direction = ProgramKey::Direction;

  // Leaves `parts.calls`, which it must have entered, at its end. Until then
  // `parts` and what belongs to the call must live; gRPC sees to the latter.
  // `reactor` is the context's default one.
  TensorCall(Direction direction, const ServingParts& parts,
             grpc::CallbackServerContext* context,
             grpc::ServerUnaryReactor* reactor, const grpc::ByteBuffer* request,
             grpc::ByteBuffer* response);

  // Call once, next. Computes only if the work is small and compiled.
  void Start();

 private:
  uint64_t caller() const override;
  bool IsCancelled() const override { return context_.IsCancelled(); }
  absl::Status Split();
  absl::Status Decode();
  void Plan(std::shared_ptr<const Program> program);
  void Execute(bool may_run_inline);
  void Done(const Scheduler::Outcome& outcome) override;
  void Respond();
  Residuals::Handle KeepInputs();
  void Finish(const absl::Status& status);
  void Log(const absl::Status& status) const;

  const Direction direction_;
  const ServingParts& parts_;
  grpc::CallbackServerContext& context_;
  grpc::ServerUnaryReactor& reactor_;
  const grpc::ByteBuffer& request_bytes_;
  grpc::ByteBuffer& response_bytes_;
  const absl::Time received_;

  // What inputs point into, unless a residual does.
  std::vector<grpc::Slice> slices_;
  SplitMessage split_;
  // Of a request that was decoded; with plan_ not set, still to be planned.
  TensorRequest request_;
  // Empty if the payloads are the inputs.
  std::vector<std::vector<Fragment>> inputs_;
  std::shared_ptr<const CallPlan> plan_;
  // One per output of the program that is a tensor.
  std::vector<Buffer> tensors_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_TENSOR_CALL_H_
