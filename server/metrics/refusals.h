// Counts what the server refuses, for the whole process, by a closed list of
// reasons.

#ifndef ACTSERVE_SERVER_METRICS_REFUSALS_H_
#define ACTSERVE_SERVER_METRICS_REFUSALS_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace actserve {

// A new reason goes before kNumRefusals, gets a name in refusals.cc and a line
// in docs/metrics.md.
enum class Refusal {
  // Calls that were answered RESOURCE_EXHAUSTED.
  kMemoryRequests,
  kMemoryResults,
  kQueue,
  kCompileQueue,
  kCompileSeconds,
  kControlQueue,
  kDeviceMemory,
  kTenantRequests,
  kTenantBytes,
  // Calls that were answered UNAVAILABLE.
  kDeviceLost,
  kDraining,
  // Calls that were answered INVALID_ARGUMENT.
  kInvalid,
  // Calls that were answered UNAUTHENTICATED and PERMISSION_DENIED.
  kUnauthenticated,
  kPermissionDenied,
  // Connections that were closed.
  kConnections,
  kStreams,
  kStalled,
  kNumRefusals
};

// "memory_requests": the label of the metric.
absl::string_view NameOf(Refusal reason);

// Thread-safe, without a lock.
void CountRefusal(Refusal reason, int64_t count = 1);
int64_t NumRefused(Refusal reason);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_METRICS_REFUSALS_H_
