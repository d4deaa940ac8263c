#include "server/tensor_call.h"

#include <memory>
#include <utility>

#include "server/log.h"
#include "server/status_conversion.h"

namespace actserve {

TensorCall::TensorCall(Direction direction, const ServingParts& parts,
                       grpc::CallbackServerContext* context,
                       const grpc::ByteBuffer* request,
                       grpc::ByteBuffer* response)
    : direction_(direction),
      parts_(parts),
      context_(*context),
      reactor_(*context->DefaultReactor()),
      request_bytes_(*request),
      response_bytes_(*response),
      received_(absl::Now()) {
  deadline = absl::FromChrono(context->deadline());
}

void TensorCall::Start() {
  if (absl::Status status = Decode(); !status.ok()) return Finish(status);
  program = parts_.programs.Find(request_.program);
  if (program != nullptr) return Execute(/*may_run_inline=*/true);
  parts_.programs.Get(request_.activation, request_.program,
                      [this](const Programs::Result& result) {
                        if (!result.ok()) return Finish(result.status());
                        program = *result;
                        Execute(/*may_run_inline=*/false);
                      });
}

absl::Status TensorCall::Decode() {
  if (!request_bytes_.Dump(&slices_).ok()) {
    return absl::InternalError("cannot read the request");
  }
  std::vector<Fragment> bytes;
  bytes.reserve(slices_.size());
  for (const grpc::Slice& slice : slices_) {
    bytes.push_back(
        {reinterpret_cast<const std::byte*>(slice.begin()), slice.size()});
  }
  absl::Status status = SplitPayloads(bytes, parts_.limits.split, &split_);
  if (!status.ok()) return status;
  auto request = direction_ == Direction::kForward
                     ? DecodeForward(split_, parts_.limits, parts_.registry)
                     : DecodeBackward(split_, parts_.limits, parts_.registry,
                                      parts_.residuals);
  if (!request.ok()) return request.status();
  request_ = *std::move(request);
  return absl::OkStatus();
}

void TensorCall::Execute(bool may_run_inline) {
  const int64_t tensor_bytes = request_.type.size_bytes();
  item.num_elements = request_.type.num_elements;
  item.parameters = request_.parameters;
  for (const auto& input : request_.inputs) item.inputs.emplace_back(input);
  for (const Output& output : program->lowered().graph.outputs) {
    if (output.summed) {
      item.sums.push_back(0);
    } else {
      tensors_.push_back(parts_.buffers.Get(tensor_bytes));
      item.outputs.push_back(tensors_.back().data());
    }
  }
  size_bytes = tensor_bytes *
               static_cast<int64_t>(request_.inputs.size() + tensors_.size());
  // A program too large to be interleaved is slow for its bytes.
  may_run_inline &= program->lowered().interleave;
  parts_.executor.Submit(this, may_run_inline);
}

void TensorCall::Done(const Executor::Outcome& outcome) {
  if (!outcome.status.ok()) return Finish(outcome.status);
  Respond(outcome);
}

void TensorCall::Respond(const Executor::Outcome& outcome) {
  TensorResult result(*program, parts_.device.name());
  result.tensors = std::move(tensors_);
  result.sums = std::move(item.sums);
  result.queue = absl::Now() - received_ - outcome.compute;
  result.compute = outcome.compute;
  if (direction_ == Direction::kForward) {
    if (request_.residual_lease.has_value()) KeepResidual(&result);
    response_bytes_ = EncodeForward(request_, std::move(result));
  } else {
    response_bytes_ = EncodeBackward(request_, std::move(result));
  }
  Finish(absl::OkStatus());
}

void TensorCall::KeepResidual(TensorResult* result) {
  auto residual = std::make_shared<Residual>();
  residual->activation = request_.activation;
  residual->type = request_.type;
  residual->parameters = request_.parameters;
  HoldInputs(std::move(request_.inputs), std::move(slices_), residual.get());
  result->residual_handle =
      parts_.residuals.Put(std::move(residual), *request_.residual_lease);
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
  LogEvent(
      LogLevel::kDebug, "request",
      {{"method", direction_ == Direction::kForward ? "Forward" : "Backward"},
       {"peer", context_.peer()},
       {"code", absl::StatusCodeToString(status.code())},
       {"error", std::string(status.message())},
       {"activation", request_.program.activation_id},
       {"elements", request_.type.num_elements},
       {"micros", absl::ToInt64Microseconds(absl::Now() - received_)}});
}

}  // namespace actserve
