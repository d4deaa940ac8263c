#ifndef ACTSERVE_SERVER_RPC_LISTENER_H_
#define ACTSERVE_SERVER_RPC_LISTENER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actserve/v1/service.pb.h"
#include "server/connections/open_streams.h"
#include "server/evaluation/call_counter.h"
#include "server/evaluation/serving_parts.h"
#include "server/identity/authenticator.h"
#include "server/listen/acceptor.h"
#include "server/metrics/call_metrics.h"
#include "server/rpc/control_pools.h"
#include "server/tls/server_tls.h"
#include "server/tracing/call_observer.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace actserve {

// What a service on a listener's addresses is served with. All outlive it;
// `metrics` and `authenticator` may be null.
struct ServiceParts {
  const ServingParts& serving;
  CallCounter& calls;
  OpenStreams& streams;
  CallMetrics* metrics;
  CallObserver& observer;
  const Authenticator* authenticator;
  // What the health service says.
  std::function<bool()> is_ready;
  std::function<bool()> is_alive;
};

// A service beside the activation service. It checks its callers itself.
struct FurtherService {
  // "inference.GRPCInferenceService".
  std::string name;
  std::function<std::unique_ptr<grpc::Service>(const ServiceParts&)> make;
};

// The gRPC server: the addresses where it listens, its transport settings, the
// health service and the activation service. The rest of the process sees
// nothing else of gRPC. Thread-safe.
class Listener {
 public:
  struct Options {
    Acceptor::Options acceptor;
    // Limit on what gRPC holds of requests, those that still arrive included.
    // Beyond it gRPC resets calls (RESOURCE_EXHAUSTED).
    int64_t max_request_memory_bytes = 0;
    // Limit on what open streams take, whether or not their requests come.
    // Beyond it connections are closed: see ConnectionGuard.
    int64_t max_stream_memory_bytes = 0;
    // Limit on the calls of one connection; its client queues further ones.
    int max_streams = 0;
    // A connection is closed on which a request stops to arrive for so long.
    absl::Duration body_timeout;
    // A connection of this age, give or take a tenth, takes no more calls;
    // those that run may take `max_connection_age_grace`. Zero: it may grow
    // old.
    absl::Duration max_connection_age = absl::ZeroDuration();
    absl::Duration max_connection_age_grace;
    // Limit on a request; responses are checked before they are made.
    int64_t max_message_bytes = 0;
    // True to serve grpc.reflection.v1alpha.
    bool reflection = false;
    // Encrypts TCP; null: plain. It must outlive the listener.
    ServerTls* tls = nullptr;
    // Decides who may call what; null: everyone. It must outlive the listener.
    const Authenticator* authenticator = nullptr;
    // Served too.
    std::vector<FurtherService> further_services = {};
  };

  // Called at most once, on a thread of the listener's, if nobody answers at
  // any of its addresses: see SelfCheck.
  using OnDead = std::function<void()>;

  // Listens when it returns, and is healthy. `info` is the part of ServerInfo
  // that does not change while the server runs; the listener adds the
  // addresses. Slow methods, such as registrations, run on `pools`. `parts`,
  // the pools and `observer` must outlive the listener, as must `metrics`,
  // which count calls; null: none.
  //   InvalidArgument, FailedPrecondition, Unavailable  as Acceptor::Listen()
  static absl::StatusOr<std::unique_ptr<Listener>> Start(
      const Options& options, const v1::ServerInfo& info,
      const ServingParts& parts, const ControlPools& pools,
      CallMetrics* metrics, CallObserver* observer, OnDead on_dead);

  // Cancels calls that still run.
  ~Listener();

  // The addresses with their ports resolved: "127.0.0.1:50051",
  // "unix:/run/...".
  const std::vector<std::string>& addresses() const;

  // The connections that are open now.
  int num_connections() const;

  // Turns readiness to NOT_SERVING for good. Calls are still accepted.
  void StopBeingHealthy();
  // The same with liveness.
  void StopBeingAlive();

  // Refuses new connections, and new calls with UNAVAILABLE.
  void Refuse();

  // Waits up to `timeout` for the calls that run, and until their answers are
  // sent. Returns true if none is left.
  bool AwaitCalls(absl::Duration timeout);

  // Closes the connections. Clients whose calls were not answered see
  // UNAVAILABLE, as do those whose calls arrive just now. Call Refuse() first.
  void CloseConnections();

  // Waits for the calls that are left; call CloseConnections() first.
  void Shutdown();

 private:
  class Parts;
  explicit Listener(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_LISTENER_H_
