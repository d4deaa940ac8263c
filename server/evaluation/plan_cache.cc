#include "server/evaluation/plan_cache.h"

#include <cstddef>
#include <utility>

namespace actserve {
namespace {

// Returns whether the payloads are the program's tensor inputs.
bool PayloadsAreInputs(const SplitRequest& split, const CallPlan& plan) {
  const TensorRequest& request = plan.request;
  const size_t num_inputs = request.payloads.size();
  const size_t num_whole = num_inputs - request.broadcasts.size();
  if (split.payloads.size() != num_inputs) return false;
  for (size_t i = 0; i < num_inputs; ++i) {
    const int payload = request.payloads[i];
    const TensorType& type =
        i < num_whole ? request.type : request.broadcasts[i - num_whole].type;
    if (payload == TensorRequest::kNoPayload ||
        split.payloads[payload].size_bytes !=
            static_cast<size_t>(type.size_bytes())) {
      return false;
    }
  }
  return true;
}

}  // namespace

PlanCache::PlanCache(const Options& options, Registry* registry)
    : options_(options),
      registry_(*registry),
      plans_{Plans(options.max_plans, options.max_activation_bytes),
             Plans(options.max_plans, options.max_activation_bytes)} {}

std::shared_ptr<const CallPlan> PlanCache::Find(TensorMethod method,
                                                const SplitRequest& split,
                                                const Tenant* tenant) {
  if (split.metadata.size() > options_.max_metadata_bytes) return nullptr;
  std::shared_ptr<const CallPlan> plan;
  {
    absl::MutexLock lock(&mu_);
    auto* found = plans_[static_cast<int>(method)].Find(split.metadata);
    if (found != nullptr) plan = *found;
  }
  if (plan == nullptr || !PayloadsAreInputs(split, *plan)) return nullptr;
  const RegisteredActivation& activation = *plan->request.activation;
  const bool known = activation.builtin() ||
                     registry_.Find(activation.id(), tenant) != nullptr;
  if (!known) return nullptr;
  num_found_.Increment();
  return plan;
}

void PlanCache::Put(TensorMethod method, const SplitRequest& split,
                    std::shared_ptr<const CallPlan> plan) {
  const TensorRequest& request = plan->request;
  if (split.metadata.size() > options_.max_metadata_bytes ||
      request.residual != nullptr || request.residual_lease.has_value() ||
      plan->response_head.empty() || !PayloadsAreInputs(split, *plan)) {
    return;
  }
  const RegisteredActivation& activation = *request.activation;
  const int64_t charge = activation.builtin() ? 0 : activation.size_bytes();
  Plans::Entries dropped;  // destroyed after the lock is released
  absl::MutexLock lock(&mu_);
  dropped = plans_[static_cast<int>(method)].Put(split.metadata,
                                                 std::move(plan), charge);
}

}  // namespace actserve
