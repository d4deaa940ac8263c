#include "server/evaluation/tensor_evaluation.h"

#include <string>
#include <utility>

namespace actserve {

void TensorEvaluation::Run(absl::Span<const Fragment> message) {
  SplitRequest split;
  if (absl::Status status = Split(message, parts().limits.split, &split);
      !status.ok()) {
    return Fail(status);
  }
  Run(method_, std::move(split));
}

void TensorEvaluation::Run(TensorMethod method, SplitRequest split) {
  method_ = method;
  split_ = std::move(split);
  if (auto plan = parts().plans.Find(method_, split_, caller().tenant)) {
    return Evaluate(std::move(plan), split_);
  }
  absl::StatusOr<DecodedRequest> decoded = Decode();
  if (!decoded.ok()) return Fail(decoded.status());
  Evaluate(*std::move(decoded));
}

absl::StatusOr<DecodedRequest> TensorEvaluation::Decode() {
  RequestLimits limits = parts().limits;
  limits.message_bytes = MaxResponseBytes();
  return method_ == TensorMethod::kForward
             ? DecodeForward(split_, limits, parts().registry, caller().tenant)
             : DecodeBackward(split_, limits, parts().registry,
                              parts().residuals, caller().tenant);
}

void TensorEvaluation::OnPlan(const std::shared_ptr<CallPlan>& plan) {
  plan->response_head = ConstantResponseHead(plan->request, *plan->program,
                                             parts().device.name());
  // Doors share the plans, but not the limit on the response.
  constexpr int64_t kMostTensors = 32;
  if (plan->request.type.size_bytes() <=
      parts().limits.message_bytes / kMostTensors) {
    parts().plans.Put(method_, split_, plan);
  }
}

void TensorEvaluation::Succeed(TensorResult result) {
  std::string head = !plan()->response_head.empty()
                         ? plan()->response_head
                         : ResponseHead(request(), *plan()->program,
                                        parts().device.name(), result.sums);
  const Stages stages = result.stages;
  Respond(EncodeResponse(request(), std::move(head), std::move(result)),
          stages);
}

}  // namespace actserve
