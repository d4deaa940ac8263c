#include "server/server.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_join.h"
#include "actserve/v1/service.pb.h"
#include "kernels/base/status_macros.h"
#include "proto/duration.h"
#include "proto/shared_memory/control.h"
#include "server/config/version.h"
#include "server/engine/device_makers.h"
#include "server/kserve/rpc/kserve.h"
#include "server/message/control_request.h"
#include "server/metrics/endpoint/server_metrics.h"
#include "server/metrics/refusals.h"
#include "server/observe/log.h"
#include "server/scheduling/server_clock.h"
#include "server/shared_memory/door.h"
#include "server/state/memory_trimmer.h"

namespace actserve {
namespace {

// What calls may take to end that run when the time to drain is over, and again
// when the connections are closed.
constexpr absl::Duration kLastAnswersTimeout = absl::Milliseconds(200);

Listener::Options ListenerOptions(const Options& options) {
  Listener::Options listener;
  listener.acceptor.listen = options.listen;
  listener.acceptor.unix_socket = options.unix_socket;
  listener.acceptor.unix_users = options.unix_users;
  listener.acceptor.max_connections = options.max_connections;
  listener.max_streams = options.max_streams;
  listener.max_request_memory_bytes =
      MemoryBudget::MaxMessageBytes(options.max_memory_bytes);
  listener.body_timeout = options.body_timeout;
  listener.max_stream_memory_bytes =
      MemoryBudget::MaxStreamBytes(options.max_memory_bytes);
  listener.max_connection_age = options.max_connection_age;
  listener.max_connection_age_grace = options.max_connection_age_grace;
  listener.max_message_bytes = options.max_message_bytes;
  listener.reflection = options.reflection;
  return listener;
}

CallObserver::Options ObserverOptions(const Options& options) {
  return {.slow_request = options.slow_request,
          .access_log = options.access_log,
          .sample_ratio = options.trace_sample_ratio};
}

TraceResource ResourceOf(const ChosenDevice& device) {
  return {.service_version = kVersion,
          .instance_id = ToHex(NewTraceId()),
          .device = device.device->name()};
}

}  // namespace

Server::Server(const Options& options,
               std::shared_ptr<Authenticator> authenticator,
               ChosenDevice device, std::unique_ptr<Registry> registry,
               LostCallback on_lost)
    : on_lost_(std::move(on_lost)),
      authenticator_(std::move(authenticator)),
      call_metrics_(options.metrics.empty() ? nullptr
                                            : std::make_unique<CallMetrics>()),
      exporter_(options.otlp_endpoint.empty()
                    ? nullptr
                    : std::make_unique<OtlpExporter>(
                          options.otlp_endpoint, ResourceOf(device), &traces_)),
      observer_(ObserverOptions(options),
                exporter_ != nullptr ? &traces_ : nullptr),
      device_(std::move(device.device)),
      registry_(std::move(registry)),
      buffers_(BufferPool::Create(options.max_idle_buffer_bytes)),
      residuals_(ResidualOptionsOf(options), ServerClock()),
      plans_(options.plans, registry_.get()),
      programs_(options.programs, device_.get(), ServerClock(), &compile_pool_),
      memory_(options.max_memory_bytes, authenticator_),
      serving_{RequestLimitsOf(options),
               *device_,
               *registry_,
               plans_,
               programs_,
               scheduler_,
               residuals_,
               *buffers_,
               memory_},
      scheduler_(SchedulerOptionsOf(options, device), device_.get(),
                 ServerClock()),
      compile_pool_(
          {.num_threads = options.compile_threads,
           .max_queued = options.max_queued_compilations,
           .name = "compile queue",
           .flag = "--max_queued_compilations",
           .refusal = Refusal::kCompileQueue,
           .retry_after = absl::Seconds(1),
           .used_time =
               [this](uint64_t peer) { return programs_.UsedTime(peer); }}),
      registration_pool_({.max_queued = options.max_queued_control_calls,
                          .name = "registration queue",
                          .flag = "--max_queued_control_calls",
                          .retry_after = absl::Seconds(1)}),
      lookup_pool_({.max_queued = options.max_queued_control_calls,
                    .name = "lookup queue",
                    .flag = "--max_queued_control_calls"}) {
  device_->OnLost([this](const absl::Status&) {
    if (call_metrics_ != nullptr) call_metrics_->set_device_is_lost();
    absl::MutexLock lock(&mu_);
    loss_ = Loss::kDevice;
  });
}

Server::~Server() {
  Drain(absl::ZeroDuration());
  StopWaiting();
  if (sweeper_.joinable()) sweeper_.join();
}

const std::vector<std::string>& Server::addresses() const {
  return listener_->addresses();
}

std::string Server::metrics_address() const {
  return metrics_ == nullptr ? "" : metrics_->address();
}

absl::Status Server::Reload() {
  absl::Status status;
  if (tls_ != nullptr) status.Update(tls_->Reload());
  if (authenticator_ != nullptr) status.Update(authenticator_->Reload());
  return status;
}

void Server::StopBeingHealthy() {
  is_draining_ = true;
  listener_->StopBeingHealthy();
}

Server::Loss Server::loss() const {
  absl::MutexLock lock(&mu_);
  return loss_;
}

// Reports a loss at once. It never calls the device: of a lost one, a call may
// not return.
void Server::AwaitLoss() {
  const auto is_woken = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return stopping_ || loss_ != Loss::kNone;
  };
  {
    absl::MutexLock lock(&mu_, absl::Condition(&is_woken));
    if (stopping_) return;
  }
  StopBeingHealthy();
  listener_->StopBeingAlive();
  if (loss() == Loss::kDevice) {
    LogEvent(LogLevel::kError, "device_lost",
             {{"device", device_->name()},
              {"reason", std::string(device_->health().message())}});
  } else {
    LogEvent(LogLevel::kError, "listener_dead",
             {{"addresses", absl::StrJoin(addresses(), ",")}});
  }
  if (on_lost_) on_lost_();
}

// Drops expired residuals, which the device may hold, requests that gave up,
// and memory that a burst has left. Looks for new keys.
void Server::Sweep() {
  MemoryTrimmer trimmer(&memory_, buffers_.get());
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      mu_.AwaitWithTimeout(absl::Condition(&stopping_), absl::Seconds(1));
      if (stopping_) return;
    }
    residuals_.Sweep();
    programs_.Sweep();
    trimmer.Tick();
    observer_.ReportLeftOut();
    if (tls_ != nullptr) tls_->ReloadIfChanged();
    if (authenticator_ != nullptr) authenticator_->ReloadIfChanged();
  }
}

void Server::StopWaiting() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  if (loss_waiter_.joinable()) loss_waiter_.join();
}

absl::Status Server::Listen(const Options& options,
                            const v1::ServerInfo& info) {
  Listener::Options listener = ListenerOptions(options);
  listener.authenticator = authenticator_.get();
  if (options.kserve) {
    listener.further_services.push_back(
        kserve::KserveService(kVersion, options.kserve_shared_memory));
  }
  if (options.tls.enabled()) {
    ACTSERVE_ASSIGN_OR_RETURN(tls_, ServerTls::Create(options.tls));
    listener.tls = tls_.get();
  }
  ACTSERVE_ASSIGN_OR_RETURN(
      listener_, Listener::Start(listener, info, serving_,
                                 {registration_pool_, lookup_pool_},
                                 call_metrics_.get(), &observer_, [this] {
                                   absl::MutexLock lock(&mu_);
                                   loss_ = Loss::kListener;
                                 }));
  StartSharedMemory(options);
  if (!options.metrics.empty()) {
    auto metrics = std::make_unique<ServerMetrics>(ServerMetrics::Sources{
        .version = std::string(kVersion),
        .parts = serving_,
        .calls = *call_metrics_,
        .num_connections = [this] { return listener_->num_connections(); },
        .num_shared_memory_clients =
            [this] {
              return shared_memory_ ? shared_memory_->num_clients() : 0;
            },
        .shared_memory_bytes =
            [this] {
              return shared_memory_ ? shared_memory_->region_bytes() : 0;
            },
        .shared_device_memory_bytes =
            [this] {
              return shared_memory_ ? shared_memory_->device_region_bytes() : 0;
            },
        .is_draining = [this] { return is_draining_.load(); },
        .certificate_expiry = [this]() -> std::optional<absl::Time> {
          if (tls_ == nullptr) return std::nullopt;
          return tls_->expires();
        }});
    ACTSERVE_ASSIGN_OR_RETURN(
        metrics_, MetricsEndpoint::Start(options.metrics, std::move(metrics)));
  }
  loss_waiter_ = std::thread([this] { AwaitLoss(); });
  sweeper_ = std::thread([this] { Sweep(); });
  return absl::OkStatus();
}

// Clients that cannot share memory send their tensors, so this is no failure.
void Server::StartSharedMemory(const Options& options) {
  if (options.unix_socket.empty() || !options.shared_memory) return;
  auto door = SharedMemoryDoor::Start(
      {.path = shared_memory::ControlPath(options.unix_socket),
       .users = options.unix_users,
       .max_clients = options.max_shared_memory_clients,
       .max_bytes = options.max_shared_memory_bytes > 0
                        ? options.max_shared_memory_bytes
                        : options.max_memory_bytes,
       .device_memory = options.shared_device_memory},
      {serving_, call_metrics_.get(), observer_, authenticator_.get()});
  if (!door.ok()) {
    LogEvent(LogLevel::kWarning, "no_shared_memory",
             {{"reason", std::string(door.status().message())}});
    return;
  }
  shared_memory_ = *std::move(door);
}

bool Server::AwaitCalls(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  const bool none_left =
      shared_memory_ == nullptr || shared_memory_->AwaitCalls(timeout);
  return listener_->AwaitCalls(
             std::max(absl::ZeroDuration(), deadline - absl::Now())) &&
         none_left;
}

bool Server::Drain(absl::Duration timeout) {
  if (listener_ == nullptr || drained_) return true;
  drained_ = true;
  is_draining_ = true;
  listener_->Refuse();
  if (shared_memory_ != nullptr) shared_memory_->Refuse();
  const bool complete = AwaitCalls(timeout);
  bool all_ended = complete;
  if (!complete) {
    DiscardWaiting();
    all_ended = AwaitCalls(kLastAnswersTimeout);
  }
  StopWaiting();
  listener_->CloseConnections();
  // An answer that nobody reads goes with its connection; work that the device
  // does not give back stays, and gRPC would wait for it.
  const bool may_shut_down = all_ended || AwaitCalls(kLastAnswersTimeout);
  if (may_shut_down) {
    if (shared_memory_ != nullptr) shared_memory_->Shutdown();
    listener_->Shutdown();
  }
  observer_.ReportLeftOut();
  if (exporter_ != nullptr) exporter_->Stop();
  if (may_shut_down) LogCounters();
  return complete && may_shut_down;
}

void Server::DiscardWaiting() {
  const absl::Status why =
      absl::UnavailableError("the server is shutting down");
  registration_pool_.Discard(why);
  lookup_pool_.Discard(why);
  compile_pool_.Discard(why);
  programs_.Stop(why);
}

void Server::LogCounters() const {
  const SchedulerCounters counters = scheduler_.counters();
  LogEvent(
      LogLevel::kDebug, "scheduler",
      {{"inline_jobs", counters.num_inline_jobs},
       {"queued_jobs", counters.num_queued_jobs},
       {"batches", counters.num_batches},
       {"queue_wait_micros", absl::ToInt64Microseconds(counters.queue_wait)},
       {"max_queue_wait_micros",
        absl::ToInt64Microseconds(counters.max_queue_wait)},
       {"launches", device_->num_launches()},
       {"refused", counters.num_refused},
       {"expired", counters.num_expired},
       {"cancelled", counters.num_cancelled},
       {"failed", counters.num_failed},
       {"reruns", counters.num_reruns},
       {"request_bytes", memory_.used_bytes(MemoryBudget::Half::kRequests)},
       {"result_bytes", memory_.used_bytes(MemoryBudget::Half::kResults)},
       {"refused_for_memory", memory_.num_refused()}});
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Options& options,
                                                      LostCallback on_lost) {
  ACTSERVE_RETURN_IF_ERROR(Validate(options));
  ACTSERVE_ASSIGN_OR_RETURN(ChosenDevice device,
                            ChooseDevice(options.device, MakersFor(options)));
  return Start(options, std::move(device), std::move(on_lost));
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Options& options,
                                                      ChosenDevice device,
                                                      LostCallback on_lost) {
  ACTSERVE_RETURN_IF_ERROR(Validate(options));
  LogEvent(LogLevel::kInfo, "device",
           {{"name", device.device->name()},
            {"description", device.device->description()},
            {"reason", device.reason}});
  ACTSERVE_ASSIGN_OR_RETURN(auto registry, Registry::Create(options.registry));
  std::shared_ptr<Authenticator> authenticator;
  if (options.identifies_callers()) {
    ACTSERVE_ASSIGN_OR_RETURN(authenticator,
                              Authenticator::Create(options.identity));
  }

  v1::ServerInfo info = InfoOf(options, device);
  v1::ServerLimits& limits = *info.mutable_limits();
  limits.set_max_connections(options.max_connections);
  limits.set_max_streams(options.max_streams);
  *limits.mutable_body_timeout() = ToProto(options.body_timeout);
  auto server = std::unique_ptr<Server>(
      new Server(options, std::move(authenticator), std::move(device),
                 std::move(registry), std::move(on_lost)));
  ACTSERVE_RETURN_IF_ERROR(server->Listen(options, info));
  return server;
}

}  // namespace actserve
