#ifndef ACTSERVE_SERVER_ENGINE_ENGINE_OPTIONS_H_
#define ACTSERVE_SERVER_ENGINE_ENGINE_OPTIONS_H_

#include <cstdint>

#include "absl/time/time.h"
#include "actserve/v1/service.pb.h"
#include "server/engine/device_choice.h"
#include "server/evaluation/plan_cache.h"
#include "server/message/request.h"
#include "server/scheduling/scheduler.h"
#include "server/state/programs.h"
#include "server/state/registry.h"
#include "server/state/residuals.h"
#include "server/state/tensor_type.h"

namespace actserve {

// What computes requests may be told, whatever door they come through.
struct EngineOptions {
  // Limit on the memory that calls hold, from the first byte of a request until
  // its answer is sent, and on that of residuals; see MemoryBudget.
  int64_t max_memory_bytes = int64_t{4} << 30;
  // Limit on one request or response, tensors included.
  int64_t max_message_bytes = (int64_t{64} << 20) + (64 << 10);
  // Limit on one request, tensors excluded.
  int64_t max_metadata_bytes = 64 << 10;
  TensorLimits tensor;
  Registry::Options registry;
  Programs::Options programs;
  PlanCache::Options plans;
  // Batches running at once; 0: as many as suit the device.
  int max_running_batches = 0;
  // `scheduler.max_running_batches` is ignored (see above);
  // `scheduler.inline_bytes` applies only to the CPU.
  Scheduler::Options scheduler;
  Residuals::Options residuals;
  absl::Duration default_residual_lease = absl::Minutes(1);
  absl::Duration max_residual_lease = absl::Minutes(10);
  // Limit on the memory of past results that is kept for new ones.
  int64_t max_idle_buffer_bytes = int64_t{512} << 20;
  int compile_threads = 1;
  // Limit on the programs that wait for a compile thread.
  int max_queued_compilations = 256;
};

// What the parts of an engine are made with.
RequestLimits RequestLimitsOf(const EngineOptions& options);
Residuals::Options ResidualOptionsOf(const EngineOptions& options);
// With what was left to the device set.
Scheduler::Options SchedulerOptionsOf(const EngineOptions& options,
                                      const ChosenDevice& device);

// The part of ServerInfo that does not change, without what is known of
// connections.
v1::ServerInfo InfoOf(const EngineOptions& options, const ChosenDevice& device);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_ENGINE_ENGINE_OPTIONS_H_
