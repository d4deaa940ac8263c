#ifndef ACTSERVE_SERVER_EVALUATION_EVALUATION_H_
#define ACTSERVE_SERVER_EVALUATION_EVALUATION_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/evaluation/plan_cache.h"
#include "server/evaluation/serving_parts.h"
#include "server/message/request.h"
#include "server/message/split_request.h"
#include "server/message/tensor_result.h"
#include "server/scheduling/scheduler.h"
#include "server/tracing/call_record.h"

namespace actserve {

// One request from its checks to its result:
//
//   plan known ------> execute --> Succeed or Fail
//   program known --> plan -/
//   compile --------> plan -/
//
// A front door derives from this class: it decodes its protocol, starts the
// evaluation, and encodes the result. The class knows no transport. The door's
// object must live until Succeed() or Fail() is called, and may end itself
// there.
class Evaluation : private Scheduler::Job {
 protected:
  // `received` is when the request came in; work that has not started by
  // `deadline` never starts. `parts` must outlive this object.
  Evaluation(const ServingParts& parts, absl::Time received,
             absl::Time deadline);
  ~Evaluation() override = default;

  // Call one of the next three, once. Small compiled work is computed before
  // they return. The memory of the inputs must stay valid until the end.
  void Evaluate(DecodedRequest decoded);
  // The same where the caller has the program.
  void Evaluate(DecodedRequest decoded, std::shared_ptr<const Program> program);
  // The tensor inputs are the payloads of `split`, as PlanCache::Find() checks.
  void Evaluate(std::shared_ptr<const CallPlan> plan,
                const SplitRequest& split);

  // Exactly one of these two is called, once, from any thread, perhaps before
  // Evaluate() returns.
  virtual void Succeed(TensorResult result) = 0;
  //   DeadlineExceeded   the work did not start in time
  //   Cancelled          the caller went away before the work started
  //   ResourceExhausted  a queue is full: back off
  // and the errors of Programs::Get() and Device::Run().
  virtual void Fail(const absl::Status& status) = 0;

  // Called when a decoded request has its program, before it is computed: the
  // door may add to the plan, and remember it.
  virtual void OnPlan(const std::shared_ptr<CallPlan>& /*plan*/) {}

  // Where a tensor of the result is to be written: `tensor` counts those among
  // the outputs of the program. Null: to memory of the server's own. Must not
  // overlap an input.
  virtual std::byte* PlaceOf(size_t /*tensor*/, int64_t /*size_bytes*/) {
    return nullptr;
  }

  // Called before the item is computed, when it has everything: the door may
  // say that its tensors are in device memory, and where. An error ends the
  // request.
  virtual absl::Status PlaceTensors(WorkItem& /*item*/) {
    return absl::OkStatus();
  }

  // True if the memory of the inputs may outlive this object.
  virtual bool OwnsInputs() const { return true; }
  // Gives up the owner of the inputs' memory, and of what is charged for it,
  // for a residual that outlives this object. Called at most once; not null.
  virtual std::shared_ptr<const void> ReleaseInputs() = 0;

  // The request. Before Evaluate(), and if its program cannot be had, it is
  // what was decoded.
  const TensorRequest& request() const {
    return plan_ != nullptr ? plan_->request : decoded_.request;
  }
  // nullptr until the program is known.
  const CallPlan* plan() const { return plan_.get(); }
  const ServingParts& parts() const { return parts_; }
  using Scheduler::Job::caller;
  // Has the steps of the evaluation written to `record`, which must live until
  // Succeed() or Fail() is called. Call it before Evaluate().
  void set_record(CallRecord* record) { record_ = record; }
  absl::Time received() const { return received_; }
  // Moves the deadline, if the request itself names an earlier one. Call it
  // before Evaluate().
  void BringDeadlineForward(absl::Time time) {
    deadline = std::min(deadline, time);
  }
  // Writes to the record what is known when the call has ended.
  void CompleteRecord(absl::StatusCode code);

 private:
  void Plan(std::shared_ptr<const Program> program);
  // The tensor inputs of the program, by their place.
  void SetInputs(size_t num_inputs,
                 absl::FunctionRef<absl::Span<const Fragment>(size_t)> input);
  void Execute(bool may_run_inline);
  void Done(const Scheduler::Outcome& outcome) final;
  // Gets memory for a tensor of the result.
  absl::Status AddTensor(int64_t size_bytes, std::byte* place);
  // Rounds the sums of what broadcasts into their tensors, and returns the
  // others.
  std::vector<double> TakeSums();
  void Record(const Scheduler::Outcome& outcome);
  Residuals::Handle KeepInputs();

  const ServingParts& parts_;
  const absl::Time received_;
  // Null: nobody wants to know.
  CallRecord* record_ = nullptr;
  // Its request moves into the plan.
  DecodedRequest decoded_;
  std::shared_ptr<const CallPlan> plan_;
  // One per output of the program that is a tensor in the response. The first
  // part of a gradient has all parts, the others are empty.
  std::vector<Buffer> tensors_;
  // What the program takes beside the tensors, while it runs.
  MemoryBudget::Charge scratch_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_EVALUATION_EVALUATION_H_
