#include "server/evaluation/evaluation.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "kernels/base/status_macros.h"
#include "kernels/math/half.h"
#include "server/evaluation/item_parts.h"
#include "server/identity/tenant.h"

namespace actserve {
namespace {

// Writes `numbers` as elements of `dtype`, each rounded once.
void RoundTo(DType dtype, absl::Span<const double> numbers, std::byte* to) {
  const auto write = [&](auto round) {
    for (size_t i = 0; i < numbers.size(); ++i) {
      const auto rounded = round(numbers[i]);
      std::memcpy(to + i * sizeof(rounded), &rounded, sizeof(rounded));
    }
  };
  switch (dtype) {
    case DType::kFloat16:
      return write(actserve_f64_to_f16_bits);
    case DType::kBFloat16:
      return write(actserve_f64_to_bf16_bits);
    case DType::kFloat32:
      return write([](double number) { return static_cast<float>(number); });
    case DType::kFloat64:
      return write([](double number) { return number; });
  }
}

}  // namespace

Evaluation::Evaluation(const ServingParts& parts, absl::Time received,
                       absl::Time deadline)
    : parts_(parts), received_(received) {
  this->deadline = deadline;
}

void Evaluation::Evaluate(DecodedRequest decoded) {
  decoded_ = std::move(decoded);
  const TensorRequest& request = decoded_.request;
  if (auto found = parts_.programs.Find(request.program)) {
    Plan(std::move(found));
    return Execute(/*may_run_inline=*/true);
  }
  Programs::Waiter waiter;
  waiter.caller = caller();
  waiter.deadline = deadline;
  waiter.is_cancelled = [this] { return IsCancelled(); };
  if (record_ != nullptr) {
    const absl::Time now = absl::Now();
    record_->steps.compile = {now, now};
  }
  waiter.done = [this](const Programs::Result& result) {
    if (record_ != nullptr) record_->steps.compile->end = absl::Now();
    if (!result.ok()) return Fail(result.status());
    Plan(*result);
    Execute(/*may_run_inline=*/false);
  };
  parts_.programs.Get(request.activation, request.program, std::move(waiter));
}

void Evaluation::Evaluate(DecodedRequest decoded,
                          std::shared_ptr<const Program> program) {
  decoded_ = std::move(decoded);
  Plan(std::move(program));
  Execute(/*may_run_inline=*/true);
}

void Evaluation::Evaluate(std::shared_ptr<const CallPlan> plan,
                          const SplitRequest& split) {
  plan_ = std::move(plan);
  SetInputs(split.payloads.size(), [&](size_t i) {
    return split.FragmentsOf(split.payloads[plan_->request.payloads[i]]);
  });
  Execute(/*may_run_inline=*/true);
}

void Evaluation::Plan(std::shared_ptr<const Program> program) {
  auto plan = std::make_shared<CallPlan>();
  plan->request = std::move(decoded_.request);
  plan->program = std::move(program);
  OnPlan(plan);
  plan_ = std::move(plan);
  SetInputs(decoded_.inputs.size(),
            [&](size_t i) { return absl::MakeConstSpan(decoded_.inputs[i]); });
}

void Evaluation::SetInputs(
    size_t num_inputs,
    absl::FunctionRef<absl::Span<const Fragment>(size_t)> input) {
  const std::vector<BroadcastTensor>& broadcasts = plan_->request.broadcasts;
  const size_t num_whole = num_inputs - broadcasts.size();
  actserve::SetInputs(plan_->request, num_whole, input, &item);
  for (size_t b = 0; b < broadcasts.size(); ++b) {
    item.broadcasts.push_back({input(num_whole + b), broadcasts[b].shape});
  }
}

void Evaluation::Execute(bool may_run_inline) {
  const TensorRequest& request = plan_->request;
  program = plan_->program;
  const int64_t tensor_bytes = request.type.size_bytes();
  item.num_elements = request.type.num_elements;
  item.time_stages = true;
  item.keep_inputs = request.residual_lease.has_value();
  if (request.residual != nullptr) item.resident = request.residual->resident;
  item.parameters = request.parameters;
  item.rows = request.rows();
  item.element_offset = request.element_offset;
  item.output_parts = OutputParts(request);
  std::optional<std::byte*> whole;
  for (const Output& output : program->lowered().graph.outputs) {
    if (output.summed) item.sums.push_back(0);
    if (output.summed && output.like < 0) continue;
    const bool is_part =
        !output.summed &&
        !PartAt(item.output_parts, item.outputs.size()).is_whole();
    if (is_part && whole.has_value()) {
      tensors_.emplace_back();
      item.outputs.push_back(*whole);
      continue;
    }
    const int64_t output_bytes =
        is_part           ? request.split->type.size_bytes()
        : output.like < 0 ? tensor_bytes
                          : request.broadcasts[output.like].type.size_bytes();
    absl::Status status =
        AddTensor(output_bytes, PlaceOf(tensors_.size(), output_bytes));
    if (!status.ok()) return Fail(status);
    if (is_part) whole = tensors_.back().data();
    if (!output.summed) item.outputs.push_back(tensors_.back().data());
  }
  if (absl::Status status = PlaceTensors(item); !status.ok()) {
    return Fail(status);
  }
  if (const int64_t bytes = program->ScratchBytes(item); bytes > 0) {
    auto charge =
        parts_.memory.Take(MemoryBudget::Half::kResults, caller(), bytes);
    if (!charge.ok()) return Fail(charge.status());
    scratch_ = *std::move(charge);
  }
  size_bytes =
      tensor_bytes * static_cast<int64_t>(item.inputs.size() + tensors_.size());
  // A program too large to be interleaved is slow for its bytes.
  may_run_inline &= program->lowered().interleave;
  if (record_ != nullptr) {
    const absl::Time now = absl::Now();
    record_->steps.queue = {now, now};
  }
  parts_.scheduler.Submit(this, may_run_inline);
}

absl::Status Evaluation::AddTensor(int64_t size_bytes, std::byte* place) {
  if (place != nullptr) {
    tensors_.emplace_back(absl::MakeSpan(place, size_bytes));
    return absl::OkStatus();
  }
  ACTSERVE_ASSIGN_OR_RETURN(
      MemoryBudget::Charge charge,
      parts_.memory.Take(MemoryBudget::Half::kResults, caller(),
                         BufferPool::CapacityBytes(size_bytes)));
  tensors_.push_back(parts_.buffers.Get(size_bytes));
  tensors_.back().Hold(std::move(charge));
  return absl::OkStatus();
}

void Evaluation::Done(const Scheduler::Outcome& outcome) {
  if (record_ != nullptr) Record(outcome);
  if (!outcome.status.ok()) {
    scratch_ = MemoryBudget::Charge();
    return Fail(outcome.status);
  }
  TensorResult result;
  result.sums = TakeSums();
  result.tensors = std::move(tensors_);
  scratch_ = MemoryBudget::Charge();
  result.queue = outcome.queue;
  result.stages = item.stages;
  result.in_device_memory = item.in_device_memory;
  if (plan_->request.residual_lease.has_value()) {
    result.residual_handle = KeepInputs();
  }
  // Two clocks: the difference may be a little below zero.
  result.other =
      std::max(absl::ZeroDuration(),
               absl::Now() - received_ - result.queue - result.stages.copy_in -
                   result.stages.compute - result.stages.copy_out);
  Succeed(std::move(result));
}

std::vector<double> Evaluation::TakeSums() {
  std::vector<double> numbers;
  const double* sum = item.sums.data();
  size_t tensor = 0;
  for (const Output& output : program->lowered().graph.outputs) {
    if (!output.summed) {
      ++tensor;
    } else if (output.like < 0) {
      numbers.push_back(*sum++);
    } else {
      const TensorType& type = plan_->request.broadcasts[output.like].type;
      RoundTo(type.dtype, absl::MakeConstSpan(sum, type.num_elements),
              tensors_[tensor++].data());
      sum += type.num_elements;
    }
  }
  item.sums = std::vector<double>();
  return numbers;
}

void Evaluation::CompleteRecord(absl::StatusCode code) {
  record_->code = code;
  record_->received = received_;
  record_->ended = absl::Now();
  record_->tenant = TenantNameOf(caller());
  record_->activation = request().program.activation_id;
  record_->elements = request().type.num_elements;
}

void Evaluation::Record(const Scheduler::Outcome& outcome) {
  const absl::Time now = absl::Now();
  Steps& steps = record_->steps;
  const absl::Time taken = std::min(now, steps.queue->start + outcome.queue);
  if (outcome.queue > absl::ZeroDuration()) {
    steps.queue->end = taken;
  } else {
    steps.queue.reset();
  }
  record_->batch_requests = outcome.num_jobs;
  LayStages(taken, now, item.stages.copy_in, item.stages.compute,
            item.stages.copy_out, &steps);
}

Residuals::Handle Evaluation::KeepInputs() {
  const TensorRequest& request = plan_->request;
  auto residual = std::make_shared<Residual>();
  residual->tenant = caller().tenant;
  residual->activation = request.activation;
  residual->type = request.type;
  residual->split = request.split;
  residual->parameters = request.parameters;
  residual->axis = request.axis;
  residual->element_offset = request.element_offset;
  residual->broadcasts = request.broadcasts;
  residual->resident = std::move(item.kept);
  if (residual->resident == nullptr) {
    // They cannot be kept here.
    if (item.in_device_memory) return "";
    std::shared_ptr<const void> owner;
    if (OwnsInputs() && MayStay(decoded_.inputs)) {
      owner = ReleaseInputs();
    } else {
      auto charge =
          parts_.memory.Take(MemoryBudget::Half::kResults, caller(),
                             static_cast<int64_t>(SizeBytes(decoded_.inputs)));
      if (!charge.ok()) return "";
      charge->LeaveFlight();
      residual->charge = *std::move(charge);
    }
    HoldInputs(std::move(decoded_.inputs), std::move(owner), residual.get());
  }
  return parts_.residuals.Put(std::move(residual), *request.residual_lease);
}

}  // namespace actserve
