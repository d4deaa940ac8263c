#ifndef ACTSERVE_SERVER_METRICS_ENDPOINT_PROCESS_METRICS_H_
#define ACTSERVE_SERVER_METRICS_ENDPOINT_PROCESS_METRICS_H_

#include <vector>

#include "prometheus/metric_family.h"

namespace actserve {

// The metrics that every Prometheus client has about its process:
// process_cpu_seconds_total, process_resident_memory_bytes, ...
// Thread-safe.
std::vector<prometheus::MetricFamily> ProcessMetrics();

}  // namespace actserve

#endif  // ACTSERVE_SERVER_METRICS_ENDPOINT_PROCESS_METRICS_H_
