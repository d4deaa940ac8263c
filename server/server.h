#ifndef ACTSERVE_SERVER_SERVER_H_
#define ACTSERVE_SERVER_SERVER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "actserve/v1/service.pb.h"
#include "server/engine/device_choice.h"
#include "server/evaluation/serving_parts.h"
#include "server/identity/authenticator.h"
#include "server/metrics/call_metrics.h"
#include "server/metrics/endpoint/endpoint.h"
#include "server/options.h"
#include "server/rpc/listener.h"
#include "server/shared_memory/door.h"
#include "server/tls/server_tls.h"
#include "server/tracing/call_observer.h"
#include "server/tracing/grpc/otlp_exporter.h"
#include "server/tracing/trace_queue.h"

namespace actserve {

// A whole server in one object.
class Server {
 public:
  using LostCallback = std::function<void()>;

  // Starts a server, which listens when Start() returns.
  //   InvalidArgument     an option is out of its range
  //   FailedPrecondition  the unix socket or the cache directory is not usable
  //   Unavailable         an address is taken
  // and what the device's maker returns.
  //
  // If the device is lost, or nobody can reach the server any more, `on_lost`
  // is called once, after health has turned NOT_SERVING, from a thread of the
  // server, at any time until Drain() returns. From then on calls fail with
  // UNAVAILABLE, and only a new process helps.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const Options& options, LostCallback on_lost = nullptr);
  // The same with an existing device instead of the one in `options`.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const Options& options, ChosenDevice device,
      LostCallback on_lost = nullptr);

  // Cancels running calls. Call Drain() first.
  ~Server();

  // The addresses with their ports resolved: "127.0.0.1:50051",
  // "unix:/run/...".
  const std::vector<std::string>& addresses() const;

  // Where metrics are served, with its port resolved; empty: nowhere.
  std::string metrics_address() const;

  // Turns readiness to NOT_SERVING. Calls are still accepted.
  void StopBeingHealthy();

  // Why `on_lost` was called.
  enum class Loss { kNone, kDevice, kListener };
  Loss loss() const;

  // Reads again what may change while the server runs. What cannot be read
  // stays as it was. Call it on one thread.
  absl::Status Reload();

  // Refuses new calls with UNAVAILABLE and gives running ones `timeout`, until
  // their answers are sent. Then those that wait for a compilation or a control
  // thread get UNAVAILABLE too, and all connections are closed. Returns within
  // `timeout` and half a second, and two more where traces are exported: true
  // if all calls were done. After false a compilation or the device may still
  // hold calls; the process should then exit without waiting for this object's
  // end.
  bool Drain(absl::Duration timeout);

 private:
  Server(const Options& options, std::shared_ptr<Authenticator> authenticator,
         ChosenDevice device, std::unique_ptr<Registry> registry,
         LostCallback on_lost);
  absl::Status Listen(const Options& options, const v1::ServerInfo& info);
  void StartSharedMemory(const Options& options);
  // Waits until no call runs; false if one still does after `timeout`.
  bool AwaitCalls(absl::Duration timeout);
  void AwaitLoss();
  void Sweep();
  // Ends AwaitLoss(), and soon Sweep().
  void StopWaiting();
  void DiscardWaiting();
  void LogCounters() const;

  // In the order of construction: each member uses those above it. programs_
  // and serving_ also refer to threads below them, which end first.
  const LostCallback on_lost_;
  mutable absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  Loss loss_ ABSL_GUARDED_BY(mu_) = Loss::kNone;
  bool drained_ = false;
  std::atomic<bool> is_draining_ = false;
  // Null if there are no tenants. The others refer to them.
  const std::shared_ptr<Authenticator> authenticator_;
  // Null if nobody asks for metrics.
  const std::unique_ptr<CallMetrics> call_metrics_;
  TraceQueue traces_;
  // Null: no trace is recorded.
  const std::unique_ptr<OtlpExporter> exporter_;
  CallObserver observer_;
  const std::unique_ptr<Device> device_;
  const std::unique_ptr<Registry> registry_;
  const std::shared_ptr<BufferPool> buffers_;
  Residuals residuals_;
  PlanCache plans_;
  Programs programs_;
  MemoryBudget memory_;
  const ServingParts serving_;
  // Null without TLS. gRPC's threads use it.
  std::unique_ptr<ServerTls> tls_;
  // Above the threads that end calls: they count themselves out of it last.
  // The pools are below it, because their tasks end calls as well.
  std::unique_ptr<Listener> listener_;
  // Null if no memory is shared.
  std::unique_ptr<SharedMemoryDoor> shared_memory_;
  Scheduler scheduler_;
  WorkerPool compile_pool_;
  WorkerPool registration_pool_;
  WorkerPool lookup_pool_;
  // Null without --metrics.
  std::unique_ptr<MetricsEndpoint> metrics_;
  std::thread loss_waiter_;
  std::thread sweeper_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SERVER_H_
