#ifndef ACTSERVE_SERVER_METRICS_ENDPOINT_SERVER_METRICS_H_
#define ACTSERVE_SERVER_METRICS_ENDPOINT_SERVER_METRICS_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "prometheus/collectable.h"
#include "server/evaluation/serving_parts.h"
#include "server/metrics/call_metrics.h"

namespace actserve {

// All metrics of a server, read at each scrape from what its parts count
// anyway. Their number does not depend on what clients do. docs/metrics.md
// explains them.
class ServerMetrics final : public prometheus::Collectable {
 public:
  struct Sources {
    std::string version;
    // Both must outlive this object.
    const ServingParts& parts;
    const CallMetrics& calls;
    // Thread-safe.
    std::function<int()> num_connections;
    // Of clients that share memory, and what they share.
    std::function<int()> num_shared_memory_clients;
    std::function<int64_t()> shared_memory_bytes;
    std::function<int64_t()> shared_device_memory_bytes;
    std::function<bool()> is_draining;
    // When the server's certificate expires; nullopt without TLS.
    std::function<std::optional<absl::Time>()> certificate_expiry;
  };

  explicit ServerMetrics(Sources sources);

  // Thread-safe.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  using Families = std::vector<prometheus::MetricFamily>;
  void CollectCalls(Families& families) const;
  void CollectWork(Families& families) const;
  void CollectMemory(Families& families) const;
  void CollectState(Families& families) const;
  void CollectKeys(Families& families) const;

  const Sources sources_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_METRICS_ENDPOINT_SERVER_METRICS_H_
