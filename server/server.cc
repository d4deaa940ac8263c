#include "server/server.h"

#include <algorithm>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/impl/server_builder_option.h"
#include "grpcpp/impl/server_builder_plugin.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "server/device_makers.h"
#include "server/observe/log.h"
#include "server/rpc/service.h"
#include "server/scheduling/clock.h"
#include "server/unix_socket.h"

namespace actserve {
namespace {

RequestLimits LimitsOf(const Options& options) {
  RequestLimits limits;
  limits.split.metadata_bytes = options.max_metadata_bytes;
  // The inputs and the upstream gradient.
  limits.split.payloads = options.registry.language.inputs + 1;
  limits.tensor = options.tensor;
  limits.message_bytes = options.max_message_bytes;
  limits.default_lease = options.default_residual_lease;
  limits.max_lease = options.max_residual_lease;
  return limits;
}

// Whoever links the reflection library has it in every server, asked or not;
// this takes it out again.
class WithoutReflection final : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>*
                         plugins) override {
    std::erase_if(*plugins, [](const auto& plugin) {
      return plugin->name() == "proto_server_reflection";
    });
  }
};

void SetTransport(const Options& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(
      static_cast<int>(options.max_message_bytes));
  builder->SetMaxSendMessageSize(-1);
  // Tensors do not compress, and a compressed request could be a bomb: such a
  // call is answered UNIMPLEMENTED.
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  if (!options.reflection) {
    builder->SetOption(std::make_unique<WithoutReflection>());
  }
  // A port that is taken is an error, not shared with whoever has it.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Corrupts data (CVE-2024-11407), and is slower on a loopback.
  builder->AddChannelArgument(GRPC_ARG_TCP_TX_ZEROCOPY_ENABLED, 0);
  // A trainer may be silent for minutes between steps; its connection is
  // probed, and it may probe ours.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 30'000);
}

// What an option left to the device.
Scheduler::Options SchedulerOptions(const Options& options,
                                    const ChosenDevice& device) {
  Scheduler::Options scheduler = options.scheduler;
  int& max_running = scheduler.max_running_batches;
  max_running = options.max_running_batches;
  if (device.computes_on_caller) {
    if (max_running == 0) max_running = scheduler.num_threads;
  } else {
    // One on its way in, one that computes, one on its way out.
    if (max_running == 0) max_running = 3;
    scheduler.inline_bytes = -1;
  }
  // And one thread that hands out results meanwhile.
  scheduler.num_threads =
      std::max(scheduler.num_threads, max_running + !device.computes_on_caller);
  return scheduler;
}

}  // namespace

// In the order of construction: each uses what is above it.
class Server::Parts {
 public:
  Parts(const Options& options, ChosenDevice device,
        std::unique_ptr<Registry> registry, DeviceLostCallback on_device_lost)
      : options_(options),
        on_device_lost_(std::move(on_device_lost)),
        device_reason_(std::move(device.reason)),
        device_(std::move(device.device)),
        registry_(std::move(registry)),
        buffers_(BufferPool::Create(options.max_idle_buffer_bytes)),
        residuals_(options.residuals, Clock::Real()),
        plans_(options.plans, registry_.get()),
        programs_(options.programs, device_.get(), &compile_pool_),
        scheduler_(SchedulerOptions(options, device), device_.get(),
                   Clock::Real()),
        compile_pool_(options.compile_threads, options.max_queued_compilations),
        serving_{
            LimitsOf(options_), *device_,   device_reason_, *registry_, plans_,
            programs_,          scheduler_, residuals_,     *buffers_,  calls_},
        service_(options_, serving_, &compile_pool_) {
    device_->OnLost([this](const absl::Status&) {
      absl::MutexLock lock(&mu_);
      device_is_lost_ = true;
    });
  }

  ~Parts() {
    Drain(absl::ZeroDuration());
    StopWatching();
  }

  absl::Status Listen();
  void StopBeingHealthy();
  bool Drain(absl::Duration timeout);
  const std::vector<std::string>& addresses() const { return addresses_; }
  absl::Status device_health() const { return device_->health(); }

 private:
  void Watch();
  void StopWatching();
  void LogCounters() const;

  const Options options_;
  const DeviceLostCallback on_device_lost_;
  CallCounter calls_;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool device_is_lost_ ABSL_GUARDED_BY(mu_) = false;
  const std::string device_reason_;
  const std::unique_ptr<Device> device_;
  const std::unique_ptr<Registry> registry_;
  const std::shared_ptr<BufferPool> buffers_;
  Residuals residuals_;
  PlanCache plans_;
  Programs programs_;
  Scheduler scheduler_;
  // Below what its tasks use, so that it ends first.
  WorkerPool compile_pool_;
  const ServingParts serving_;
  Service service_;
  std::unique_ptr<grpc::Server> grpc_;
  std::vector<std::string> addresses_;
  std::thread watcher_;
};

// Once a second what lies around is swept up; a lost device is told at once.
void Server::Parts::Watch() {
  const auto is_woken = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return stopping_ || device_is_lost_;
  };
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      mu_.AwaitWithTimeout(absl::Condition(&is_woken), absl::Seconds(1));
      if (stopping_) return;
      if (device_is_lost_) break;
    }
    residuals_.Sweep();
  }
  StopBeingHealthy();
  LogEvent(LogLevel::kError, "device_lost",
           {{"device", device_->name()},
            {"reason", std::string(device_->health().message())}});
  if (on_device_lost_) on_device_lost_();
}

void Server::Parts::StopWatching() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  if (watcher_.joinable()) watcher_.join();
}

absl::Status Server::Parts::Listen() {
  grpc::ServerBuilder builder;
  SetTransport(options_, &builder);
  builder.RegisterService(&service_);
  std::vector<int> ports(options_.listen.size());
  const auto credentials = grpc::InsecureServerCredentials();
  for (size_t i = 0; i < ports.size(); ++i) {
    builder.AddListeningPort(options_.listen[i], credentials, &ports[i]);
  }
  int socket_bound = 1;
  const std::string socket = absl::StrCat("unix:", options_.unix_socket);
  if (!options_.unix_socket.empty()) {
    absl::Status status = PrepareUnixSocket(options_.unix_socket);
    if (!status.ok()) return status;
    builder.AddListeningPort(socket, credentials, &socket_bound);
  }
  grpc_ = builder.BuildAndStart();
  for (size_t i = 0; i < ports.size(); ++i) {
    const std::string& wanted = options_.listen[i];
    if (ports[i] == 0) {
      return absl::UnavailableError(
          absl::StrCat("listen: cannot bind ", wanted));
    }
    addresses_.push_back(
        absl::StrCat(wanted.substr(0, wanted.rfind(':') + 1), ports[i]));
  }
  if (grpc_ == nullptr || socket_bound == 0) {
    return absl::UnavailableError(
        absl::StrCat("unix_socket: cannot bind ", options_.unix_socket));
  }
  if (!options_.unix_socket.empty()) addresses_.push_back(socket);
  service_.set_addresses(addresses_);
  grpc_->GetHealthCheckService()->SetServingStatus(
      v1::ActivationService::service_full_name(), true);
  watcher_ = std::thread([this] { Watch(); });
  return absl::OkStatus();
}

void Server::Parts::StopBeingHealthy() {
  grpc_->GetHealthCheckService()->SetServingStatus(false);
}

bool Server::Parts::Drain(absl::Duration timeout) {
  if (grpc_ == nullptr) return true;
  // gRPC's own shutdown answers a call that crosses its farewell with
  // CANCELLED, which nobody retries. So it begins only when the calls are done
  // and those that still come have been told UNAVAILABLE.
  calls_.Close();
  LogEvent(LogLevel::kInfo, "refusing");
  const bool complete = calls_.AwaitNone(absl::Now() + timeout);
  StopWatching();
  // gRPC would wait for what the device does not give back.
  if (!complete && !device_->health().ok()) return false;
  // To send the last answers. An idle client may be seconds late to close its
  // connection; it is not waited for.
  constexpr absl::Duration kFarewell = absl::Milliseconds(500);
  grpc_->Shutdown(absl::ToChronoTime(
      absl::Now() + (complete ? kFarewell : absl::ZeroDuration())));
  grpc_->Wait();
  grpc_.reset();
  LogCounters();
  return complete;
}

void Server::Parts::LogCounters() const {
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
       {"reruns", counters.num_reruns}});
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    const Options& options, DeviceLostCallback on_device_lost) {
  if (absl::Status status = Validate(options); !status.ok()) return status;
  auto device = ChooseDevice(options.device, MakersFor(options));
  if (!device.ok()) return device.status();
  return Start(options, *std::move(device), std::move(on_device_lost));
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    const Options& options, ChosenDevice device,
    DeviceLostCallback on_device_lost) {
  if (absl::Status status = Validate(options); !status.ok()) return status;
  LogEvent(LogLevel::kInfo, "device",
           {{"name", device.device->name()},
            {"description", device.device->description()},
            {"reason", device.reason}});
  auto registry = Registry::Create(options.registry);
  if (!registry.ok()) return registry.status();

  grpc::EnableDefaultHealthCheckService(true);
  if (options.reflection) {
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  }
  auto parts =
      std::make_unique<Parts>(options, std::move(device), *std::move(registry),
                              std::move(on_device_lost));
  if (absl::Status status = parts->Listen(); !status.ok()) return status;
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() = default;

const std::vector<std::string>& Server::addresses() const {
  return parts_->addresses();
}

void Server::StopBeingHealthy() { parts_->StopBeingHealthy(); }

absl::Status Server::device_health() const { return parts_->device_health(); }

bool Server::Drain(absl::Duration timeout) { return parts_->Drain(timeout); }

}  // namespace actserve
