#ifndef ACTSERVE_SERVER_RPC_CONTROL_POOLS_H_
#define ACTSERVE_SERVER_RPC_CONTROL_POOLS_H_

#include "server/scheduling/worker_pool.h"

namespace actserve {

// The threads of the methods that take longer than a lookup in a table. None of
// them compiles programs, so that no method waits for a compilation; two pools,
// so that reading does not wait for registrations.
struct ControlPools {
  // RegisterActivation: up to half a second for a text within the limits.
  WorkerPool& registrations;
  // GetActivation and ListActivations.
  WorkerPool& lookups;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_CONTROL_POOLS_H_
