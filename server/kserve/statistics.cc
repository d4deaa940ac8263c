#include "server/kserve/statistics.h"

#include "absl/time/clock.h"
#include "server/kserve/model.h"

namespace actserve::kserve {

void Statistics::CountSuccess(const Tenant* tenant, const std::string& model,
                              const Times& times) {
  absl::MutexLock lock(&mu_);
  Counters& counters = At(tenant, model);
  counters.last = absl::Now();
  counters.success.Add(times.total);
  counters.queue.Add(times.queue);
  counters.copy_in.Add(times.stages.copy_in);
  counters.compute.Add(times.stages.compute);
  counters.copy_out.Add(times.stages.copy_out);
}

void Statistics::CountFailure(const Tenant* tenant, const std::string& model,
                              absl::Duration total) {
  absl::MutexLock lock(&mu_);
  At(tenant, model).fail.Add(total);
}

inference::ModelStatistics Statistics::Of(const Tenant* tenant,
                                          const std::string& model) {
  absl::MutexLock lock(&mu_);
  const Counters* const found = models_.Find(Key(tenant, model));
  return Describe(model, found == nullptr ? Counters() : *found);
}

inference::ModelStatisticsResponse Statistics::OfAll(const Tenant* tenant) {
  inference::ModelStatisticsResponse response;
  absl::MutexLock lock(&mu_);
  for (const auto& [key, counters] : models_.entries()) {
    if (key.first != tenant) continue;
    *response.add_model_stats() = Describe(key.second, counters);
  }
  return response;
}

Statistics::Counters& Statistics::At(const Tenant* tenant,
                                     const std::string& model) {
  Key key(tenant, model);
  if (Counters* const found = models_.Find(key)) return *found;
  models_.Put(key, Counters());
  return *models_.Find(key);
}

inference::ModelStatistics Statistics::Describe(const std::string& model,
                                                const Counters& counters) {
  const auto set = [](const Sum& sum, inference::StatisticDuration* to) {
    to->set_count(sum.count);
    to->set_ns(static_cast<uint64_t>(absl::ToInt64Nanoseconds(sum.time)));
  };
  inference::ModelStatistics message;
  message.set_name(model);
  message.set_version(kModelVersion);
  message.set_last_inference(
      static_cast<uint64_t>(absl::ToUnixMillis(counters.last)));
  message.set_inference_count(counters.success.count);
  message.set_execution_count(counters.success.count);
  inference::InferStatistics& statistics = *message.mutable_inference_stats();
  set(counters.success, statistics.mutable_success());
  set(counters.fail, statistics.mutable_fail());
  set(counters.queue, statistics.mutable_queue());
  set(counters.copy_in, statistics.mutable_compute_input());
  set(counters.compute, statistics.mutable_compute_infer());
  set(counters.copy_out, statistics.mutable_compute_output());
  return message;
}

}  // namespace actserve::kserve
