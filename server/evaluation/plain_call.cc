#include "server/evaluation/plain_call.h"

#include <cstdint>
#include <memory>

#include "server/evaluation/item_parts.h"
#include "server/evaluation/output_places.h"
#include "server/evaluation/plan_cache.h"
#include "server/message/split_request.h"

namespace actserve {
namespace {

// The response to the plan's request would be one tensor like the inputs.
bool IsPlain(const CallPlan& plan, TensorMethod method) {
  const TensorRequest& request = plan.request;
  const LoweredProgram& lowered = plan.program->lowered();
  const size_t num_variables = method == TensorMethod::kForward ? 0 : 1;
  return !request.split.has_value() && request.broadcasts.empty() &&
         request.residual == nullptr && !request.residual_lease.has_value() &&
         request.variables.size() == num_variables &&
         lowered.graph.outputs.size() == 1 &&
         !lowered.graph.outputs[0].summed && lowered.interleave;
}

}  // namespace

std::optional<absl::Status> RunPlainCall(
    const ServingParts& parts, TensorMethod method,
    absl::Span<const Fragment> message,
    absl::Span<const absl::Span<std::byte>> outputs) {
  if (outputs.size() != 1) return std::nullopt;
  SplitRequest split;
  if (!Split(message, parts.limits.split, &split).ok()) return std::nullopt;
  const std::shared_ptr<const CallPlan> plan = parts.plans.Find(method, split);
  if (plan == nullptr || !IsPlain(*plan, method)) return std::nullopt;
  const TensorRequest& request = plan->request;
  const int64_t tensor_bytes = request.type.size_bytes();
  if (outputs[0].size() != static_cast<size_t>(tensor_bytes) ||
      !OutputPlaces{outputs, message}.IsFree(0)) {
    return std::nullopt;
  }
  WorkItem item;
  SetInputs(
      request, split.payloads.size(),
      [&](size_t i) {
        return split.FragmentsOf(split.payloads[request.payloads[i]]);
      },
      &item);
  item.parameters = request.parameters;
  item.num_elements = request.type.num_elements;
  item.element_offset = request.element_offset;
  item.rows = request.rows();
  item.outputs.push_back(outputs[0].data());
  MemoryBudget::Charge scratch;
  if (const int64_t bytes = plan->program->ScratchBytes(item); bytes > 0) {
    auto charge =
        parts.memory.Take(MemoryBudget::Half::kResults, CallerId(), bytes);
    if (!charge.ok()) return charge.status();
    scratch = *std::move(charge);
  }
  return parts.scheduler.RunHere(
      *plan->program,
      tensor_bytes * static_cast<int64_t>(item.inputs.size() + 1), &item);
}

}  // namespace actserve
