#ifndef ACTSERVE_SERVER_EVALUATION_SERVING_PARTS_H_
#define ACTSERVE_SERVER_EVALUATION_SERVING_PARTS_H_

#include "kernels/device/device.h"
#include "server/evaluation/plan_cache.h"
#include "server/message/request.h"
#include "server/scheduling/scheduler.h"
#include "server/state/buffer_pool.h"
#include "server/state/memory_budget.h"
#include "server/state/programs.h"
#include "server/state/registry.h"
#include "server/state/residuals.h"

namespace actserve {

// The services that every request is computed with, whatever door it came
// through. They must outlive all requests.
struct ServingParts {
  RequestLimits limits;
  Device& device;
  Registry& registry;
  PlanCache& plans;
  Programs& programs;
  Scheduler& scheduler;
  Residuals& residuals;
  BufferPool& buffers;
  MemoryBudget& memory;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_EVALUATION_SERVING_PARTS_H_
