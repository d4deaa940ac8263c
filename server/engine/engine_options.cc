#include "server/engine/engine_options.h"

#include <algorithm>

#include "proto/duration.h"
#include "server/config/version.h"
#include "server/message/control_request.h"

namespace actserve {

RequestLimits RequestLimitsOf(const EngineOptions& options) {
  RequestLimits limits;
  limits.split.metadata_bytes = options.max_metadata_bytes;
  // Inputs, grad_output, and a cotangent for each input.
  limits.split.payloads = 2 * options.registry.language.inputs +
                          options.registry.language.parameters + 1;
  limits.tensor = options.tensor;
  limits.message_bytes = options.max_message_bytes;
  limits.default_lease = options.default_residual_lease;
  limits.max_lease = options.max_residual_lease;
  return limits;
}

Residuals::Options ResidualOptionsOf(const EngineOptions& options) {
  Residuals::Options residuals = options.residuals;
  residuals.max_host_bytes =
      MemoryBudget::MaxKeptBytes(options.max_memory_bytes);
  return residuals;
}

v1::ServerInfo InfoOf(const EngineOptions& options,
                      const ChosenDevice& device) {
  v1::ServerInfo info;
  info.set_version(kVersion);
  v1::DeviceInfo& described = *info.add_devices();
  described.set_name(device.device->name());
  described.set_description(device.device->description());
  described.set_reason(device.reason);
  for (int dtype = v1::DType_MIN + 1; dtype <= v1::DType_MAX; ++dtype) {
    info.add_dtypes(static_cast<v1::DType>(dtype));
  }
  v1::ServerLimits& limits = *info.mutable_limits();
  const LanguageLimits& language = options.registry.language;
  limits.set_max_message_bytes(options.max_message_bytes);
  limits.set_max_rank(options.tensor.rank);
  limits.set_max_elements(options.tensor.elements);
  limits.set_max_source_bytes(language.source_bytes);
  limits.set_max_depth(language.depth);
  limits.set_max_parameters(language.parameters);
  limits.set_max_inputs(language.inputs);
  limits.set_max_program_weight(language.weight);
  // A device that computes on the caller's threads keeps none.
  limits.set_max_residual_bytes(
      device.computes_on_caller
          ? std::min(options.residuals.max_bytes,
                     ResidualOptionsOf(options).max_host_bytes)
          : options.residuals.max_bytes);
  *limits.mutable_max_residual_lease() = ToProto(options.max_residual_lease);
  limits.set_max_registered(options.registry.max_registered);
  limits.set_max_registered_bytes(options.registry.max_registered_bytes);
  limits.set_max_registration_bytes(MaxRegistrationBytes(language));
  limits.set_max_control_message_bytes(kMaxControlMessageBytes);
  limits.set_max_constants(kMaxConstants);
  limits.set_max_released_handles(kMaxReleasedHandles);
  limits.set_default_page_size(kDefaultPageSize);
  limits.set_max_page_size(kMaxPageSize);
  limits.set_max_memory_bytes(options.max_memory_bytes);
  return info;
}

Scheduler::Options SchedulerOptionsOf(const EngineOptions& options,
                                      const ChosenDevice& device) {
  Scheduler::Options scheduler = options.scheduler;
  int& max_running = scheduler.max_running_batches;
  max_running = options.max_running_batches;
  if (device.computes_on_caller) {
    if (max_running == 0) max_running = scheduler.num_threads;
  } else {
    // One batch is copied in, one computes, one is copied out.
    if (max_running == 0) max_running = 3;
    scheduler.inline_bytes = -1;
  }
  // One more thread hands out results meanwhile.
  scheduler.num_threads =
      std::max(scheduler.num_threads, max_running + !device.computes_on_caller);
  return scheduler;
}

}  // namespace actserve
