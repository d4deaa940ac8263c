#ifndef ACTSERVE_SERVER_METRICS_ENDPOINT_ENDPOINT_H_
#define ACTSERVE_SERVER_METRICS_ENDPOINT_ENDPOINT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "prometheus/collectable.h"

struct MHD_Daemon;

namespace actserve {

// Serves metrics to Prometheus over HTTP: GET /metrics. Anything else is
// answered with an error.
//
// One thread serves all clients of an address without waiting for any, at most
// kMaxConnections at a time; further ones wait. A host may have half of them,
// and further ones are closed. So clients that are slow, many or hostile take
// no more than that from the server, and one host does not lock out another.
class MetricsEndpoint {
 public:
  static constexpr int kMaxConnections = 16;
  // A connection is closed on which nothing happens for so long.
  static constexpr int kTimeoutSeconds = 5;
  // A connection of this age is closed, give or take a second, whatever happens
  // on it: it serves one request.
  static constexpr int kMaxAgeSeconds = 10;

  // Listens when it returns, at "127.0.0.1:9464", "[::1]:0", "localhost:9464"
  // or ":9464" (all interfaces). `metrics` is read at each scrape, from threads
  // of the endpoint.
  //   InvalidArgument  not host:port, a port over 65535, an unknown host
  //   Unavailable      the address is taken, or not of this machine
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Start(
      const std::string& address,
      std::unique_ptr<prometheus::Collectable> metrics);
  // Waits for the scrape that runs.
  ~MetricsEndpoint();

  // The address with its port resolved.
  const std::string& address() const { return address_; }

 private:
  class OldConnections;

  explicit MetricsEndpoint(std::unique_ptr<prometheus::Collectable> metrics);

  const std::unique_ptr<prometheus::Collectable> metrics_;
  // The daemons refer to it.
  const std::unique_ptr<OldConnections> old_connections_;
  std::string address_;
  // One for each address that the host has.
  std::vector<MHD_Daemon*> daemons_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_METRICS_ENDPOINT_ENDPOINT_H_
