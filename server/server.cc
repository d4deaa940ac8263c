#include "server/server.h"

#include <filesystem>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/impl/server_builder_option.h"
#include "grpcpp/impl/server_builder_plugin.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "kernels/device/cpu/cpu_device.h"
#include "server/clock.h"
#include "server/log.h"
#include "server/service.h"
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

absl::StatusOr<std::unique_ptr<CpuDevice>> CreateDevice(
    const Options& options) {
  CpuDevice::Options device_options;
  device_options.num_threads = options.device_threads;
  device_options.cache_dir = options.cache_directory;
  if (!options.cache_directory_required) {
    // What fails here fails again in the device, with a reason.
    std::error_code ignored;
    std::filesystem::create_directories(
        std::filesystem::path(options.cache_directory).parent_path(), ignored);
  }
  auto device = CpuDevice::Create(device_options);
  if (device.ok() || options.cache_directory_required ||
      options.cache_directory.empty()) {
    return device;
  }
  LogEvent(LogLevel::kWarning, "no_cache",
           {{"reason", std::string(device.status().message())}});
  device_options.cache_dir.clear();
  return CpuDevice::Create(device_options);
}

}  // namespace

// In the order of construction: each uses what is above it.
class Server::Parts {
 public:
  Parts(const Options& options, std::unique_ptr<Device> device,
        std::unique_ptr<Registry> registry)
      : options_(options),
        device_(std::move(device)),
        registry_(std::move(registry)),
        buffers_(BufferPool::Create(options.max_idle_buffer_bytes)),
        residuals_(options.residuals, Clock::Real()),
        plans_(options.plans, registry_.get()),
        programs_(options.programs, device_.get(), &compile_pool_),
        executor_(options.executor, device_.get(), Clock::Real()),
        compile_pool_(options.compile_threads, options.max_queued_compilations),
        serving_{LimitsOf(options_), *device_,   *registry_, plans_, programs_,
                 executor_,          residuals_, *buffers_,  calls_},
        service_(options_, serving_, &compile_pool_),
        sweeper_([this] { Sweep(); }) {}

  ~Parts() {
    Drain(absl::ZeroDuration());
    stop_.Notify();
    sweeper_.join();
  }

  absl::Status Listen();
  void StopBeingHealthy();
  bool Drain(absl::Duration timeout);
  const std::vector<std::string>& addresses() const { return addresses_; }

 private:
  void Sweep() {
    while (!stop_.WaitForNotificationWithTimeout(absl::Seconds(1))) {
      residuals_.Sweep();
    }
  }

  const Options options_;
  CallCounter calls_;
  const std::unique_ptr<Device> device_;
  const std::unique_ptr<Registry> registry_;
  const std::shared_ptr<BufferPool> buffers_;
  Residuals residuals_;
  PlanCache plans_;
  Programs programs_;
  Executor executor_;
  // Below what its tasks use, so that it ends first.
  WorkerPool compile_pool_;
  const ServingParts serving_;
  Service service_;
  std::unique_ptr<grpc::Server> grpc_;
  std::vector<std::string> addresses_;
  absl::Notification stop_;
  std::thread sweeper_;
};

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
  // To send the last answers. An idle client may be seconds late to close its
  // connection; it is not waited for.
  constexpr absl::Duration kFarewell = absl::Milliseconds(500);
  grpc_->Shutdown(absl::ToChronoTime(
      absl::Now() + (complete ? kFarewell : absl::ZeroDuration())));
  grpc_->Wait();
  grpc_.reset();
  return complete;
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Options& options) {
  if (absl::Status status = Validate(options); !status.ok()) return status;
  auto device = CreateDevice(options);
  if (!device.ok()) return device.status();
  auto registry = Registry::Create(options.registry);
  if (!registry.ok()) return registry.status();

  grpc::EnableDefaultHealthCheckService(true);
  if (options.reflection) {
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  }
  auto parts = std::make_unique<Parts>(options, *std::move(device),
                                       *std::move(registry));
  if (absl::Status status = parts->Listen(); !status.ok()) return status;
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() = default;

const std::vector<std::string>& Server::addresses() const {
  return parts_->addresses();
}

void Server::StopBeingHealthy() { parts_->StopBeingHealthy(); }

bool Server::Drain(absl::Duration timeout) { return parts_->Drain(timeout); }

}  // namespace actserve
