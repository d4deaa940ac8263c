#ifndef ACTSERVE_SERVER_TESTING_ENGINE_PARTS_H_
#define ACTSERVE_SERVER_TESTING_ENGINE_PARTS_H_

#include <cstdint>
#include <memory>

#include "kernels/device/device.h"
#include "server/evaluation/serving_parts.h"
#include "server/scheduling/clock.h"
#include "server/scheduling/worker_pool.h"

namespace actserve::testing {

// What requests are computed with, for tests of doors and of what is behind
// them.
struct EngineParts {
  // `device` must outlive it.
  EngineParts(Device* device, int64_t max_memory_bytes)
      : registry(*Registry::Create({})),
        buffers(BufferPool::Create(0)),
        memory(max_memory_bytes),
        residuals({}, Clock::Real()),
        plans({}, registry.get()),
        programs({}, device, Clock::Real(), &pool),
        scheduler({}, device, Clock::Real()),
        pool({.max_queued = 16}),
        parts{{.split = {},
               .tensor = {},
               .message_bytes = 64 << 20,
               .default_lease = {},
               .max_lease = {}},
              *device,
              *registry,
              plans,
              programs,
              scheduler,
              residuals,
              *buffers,
              memory} {}

  const std::unique_ptr<Registry> registry;
  const std::shared_ptr<BufferPool> buffers;
  MemoryBudget memory;
  Residuals residuals;
  PlanCache plans;
  Programs programs;
  Scheduler scheduler;
  WorkerPool pool;
  const ServingParts parts;
};

}  // namespace actserve::testing

#endif  // ACTSERVE_SERVER_TESTING_ENGINE_PARTS_H_
