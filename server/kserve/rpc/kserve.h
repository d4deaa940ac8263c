#ifndef ACTSERVE_SERVER_KSERVE_RPC_KSERVE_H_
#define ACTSERVE_SERVER_KSERVE_RPC_KSERVE_H_

#include <string>

#include "server/rpc/listener.h"

namespace actserve::kserve {

// The service inference.GRPCInferenceService (proto/inference/) on a listener's
// addresses: a second way to call the same activations, for clients that know
// KServe v2. `version` is that of the server. `shared_memory`: callers of this
// machine may register POSIX shared memory.
FurtherService KserveService(const std::string& version, bool shared_memory);

}  // namespace actserve::kserve

#endif  // ACTSERVE_SERVER_KSERVE_RPC_KSERVE_H_
