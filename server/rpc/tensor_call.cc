#include "server/rpc/tensor_call.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "server/message/response.h"
#include "server/observe/log.h"
#include "server/rpc/connection.h"
#include "server/rpc/status.h"

namespace actserve {
namespace {

bool HasSums(const Program& program) {
  return std::ranges::any_of(program.lowered().graph.outputs, &Output::summed);
}

}  // namespace

TensorCall::TensorCall(Direction direction, const ServingParts& parts,
                       grpc::CallbackServerContext* context,
                       grpc::ServerUnaryReactor* reactor,
                       const grpc::ByteBuffer* request,
                       grpc::ByteBuffer* response)
    : direction_(direction),
      parts_(parts),
      context_(*context),
      reactor_(*reactor),
      request_bytes_(*request),
      response_bytes_(*response),
      received_(absl::Now()) {
  deadline = absl::FromChrono(context->deadline());
}

void TensorCall::Start() {
  if (absl::Status status = Split(); !status.ok()) return Finish(status);
  plan_ = parts_.plans.Find(direction_, split_);
  if (plan_ != nullptr) return Execute(/*may_run_inline=*/true);
  if (absl::Status status = Decode(); !status.ok()) return Finish(status);
  if (auto found = parts_.programs.Find(request_.program)) {
    Plan(std::move(found));
    return Execute(/*may_run_inline=*/true);
  }
  parts_.programs.Get(request_.activation, request_.program,
                      [this](const Programs::Result& result) {
                        if (!result.ok()) return Finish(result.status());
                        Plan(*result);
                        Execute(/*may_run_inline=*/false);
                      });
}

uint64_t TensorCall::caller() const { return ConnectionOf(context_); }

absl::Status TensorCall::Split() {
  if (!request_bytes_.Dump(&slices_).ok()) {
    return absl::InternalError("cannot read the request");
  }
  std::vector<Fragment> bytes;
  bytes.reserve(slices_.size());
  for (const grpc::Slice& slice : slices_) {
    bytes.push_back(
        {reinterpret_cast<const std::byte*>(slice.begin()), slice.size()});
  }
  return SplitPayloads(bytes, parts_.limits.split, &split_);
}

absl::Status TensorCall::Decode() {
  auto request = direction_ == Direction::kForward
                     ? DecodeForward(split_, parts_.limits, parts_.registry)
                     : DecodeBackward(split_, parts_.limits, parts_.registry,
                                      parts_.residuals);
  if (!request.ok()) return request.status();
  request_ = *std::move(request);
  return absl::OkStatus();
}

void TensorCall::Plan(std::shared_ptr<const Program> program) {
  inputs_ = std::move(request_.inputs);
  auto plan = std::make_shared<CallPlan>();
  plan->request = std::move(request_);
  plan->program = std::move(program);
  if (!HasSums(*plan->program)) {
    plan->response_head = ResponseHead(plan->request, *plan->program,
                                       parts_.device.name(), /*sums=*/{});
  }
  plan_ = std::move(plan);
  parts_.plans.Put(direction_, split_, plan_);
}

void TensorCall::Execute(bool may_run_inline) {
  const TensorRequest& request = plan_->request;
  program = plan_->program;
  const int64_t tensor_bytes = request.type.size_bytes();
  item.num_elements = request.type.num_elements;
  item.time_stages = true;
  item.keep_inputs = request.residual_lease.has_value();
  if (request.residual != nullptr) item.resident = request.residual->resident;
  item.parameters = request.parameters;
  if (inputs_.empty()) {
    for (const auto& payload : split_.payloads) {
      item.inputs.push_back(split_.FragmentsOf(payload));
    }
  } else {
    item.inputs.assign(inputs_.begin(), inputs_.end());
  }
  for (const Output& output : program->lowered().graph.outputs) {
    if (output.summed) {
      item.sums.push_back(0);
    } else {
      tensors_.push_back(parts_.buffers.Get(tensor_bytes));
      item.outputs.push_back(tensors_.back().data());
    }
  }
  size_bytes =
      tensor_bytes * static_cast<int64_t>(item.inputs.size() + tensors_.size());
  // A program too large to be interleaved is slow for its bytes.
  may_run_inline &= program->lowered().interleave;
  parts_.scheduler.Submit(this, may_run_inline);
}

void TensorCall::Done(const Scheduler::Outcome& outcome) {
  if (!outcome.status.ok()) return Finish(outcome.status);
  Respond();
}

void TensorCall::Respond() {
  const TensorRequest& request = plan_->request;
  TensorResult result;
  result.tensors = std::move(tensors_);
  result.stages = item.stages;
  // Two clocks: the difference may be a little below zero.
  result.queue = std::max(absl::ZeroDuration(),
                          absl::Now() - received_ - item.stages.copy_in -
                              item.stages.compute - item.stages.copy_out);
  if (request.residual_lease.has_value()) result.residual_handle = KeepInputs();
  std::string head =
      !plan_->response_head.empty()
          ? plan_->response_head
          : ResponseHead(request, *program, parts_.device.name(), item.sums);
  response_bytes_ = EncodeResponse(request, std::move(head), std::move(result));
  Finish(absl::OkStatus());
}

Residuals::Handle TensorCall::KeepInputs() {
  const TensorRequest& request = plan_->request;
  auto residual = std::make_shared<Residual>();
  residual->activation = request.activation;
  residual->type = request.type;
  residual->parameters = request.parameters;
  residual->resident = std::move(item.kept);
  if (residual->resident == nullptr) {
    HoldInputs(std::move(inputs_), std::move(slices_), residual.get());
  }
  return parts_.residuals.Put(std::move(residual), *request.residual_lease);
}

void TensorCall::Finish(const absl::Status& status) {
  Log(status);
  CallCounter& calls = parts_.calls;
  actserve::Finish(status, &context_, &reactor_);
  delete this;
  calls.Leave();
}

void TensorCall::Log(const absl::Status& status) const {
  if (!IsLogged(LogLevel::kDebug)) return;
  const TensorRequest& request = plan_ != nullptr ? plan_->request : request_;
  LogEvent(
      LogLevel::kDebug, "request",
      {{"method", direction_ == Direction::kForward ? "Forward" : "Backward"},
       {"peer", context_.peer()},
       {"code", absl::StatusCodeToString(status.code())},
       {"error", std::string(status.message())},
       {"activation", request.program.activation_id},
       {"elements", request.type.num_elements},
       {"micros", absl::ToInt64Microseconds(absl::Now() - received_)}});
}

}  // namespace actserve
