#include "server/rpc/listener.h"

#include <memory>
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
#include "kernels/base/status_macros.h"
#include "server/observe/log.h"
#include "server/rpc/call_counter.h"
#include "server/rpc/service.h"
#include "server/rpc/unix_socket.h"

namespace actserve {
namespace {

// Linking the reflection library adds reflection to every server of the
// process; this option takes it out again.
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

void SetTransport(const Listener::Options& options,
                  grpc::ServerBuilder* builder) {
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
  // A port that is taken is an error, not shared with its owner.
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

}  // namespace

// In the order of construction: each member uses those above it.
class Listener::Parts {
 public:
  Parts(const v1::ServerInfo& info, const ServingParts& parts,
        WorkerPool* slow_pool)
      : service_(info, parts, &calls_, slow_pool) {}

  absl::Status Listen(const Options& options);
  const std::vector<std::string>& addresses() const { return addresses_; }
  void StopBeingHealthy() {
    grpc_->GetHealthCheckService()->SetServingStatus(false);
  }
  bool Refuse(absl::Duration timeout);
  void Shutdown();

 private:
  CallCounter calls_;
  Service service_;
  std::unique_ptr<grpc::Server> grpc_;
  std::vector<std::string> addresses_;
  bool all_calls_ended_ = false;
};

absl::Status Listener::Parts::Listen(const Options& options) {
  grpc::ServerBuilder builder;
  SetTransport(options, &builder);
  builder.RegisterService(&service_);
  std::vector<int> ports(options.listen.size());
  const auto credentials = grpc::InsecureServerCredentials();
  for (size_t i = 0; i < ports.size(); ++i) {
    builder.AddListeningPort(options.listen[i], credentials, &ports[i]);
  }
  int socket_bound = 1;
  const std::string socket = absl::StrCat("unix:", options.unix_socket);
  if (!options.unix_socket.empty()) {
    ACTSERVE_RETURN_IF_ERROR(PrepareUnixSocket(options.unix_socket));
    builder.AddListeningPort(socket, credentials, &socket_bound);
  }
  grpc_ = builder.BuildAndStart();
  for (size_t i = 0; i < ports.size(); ++i) {
    const std::string& wanted = options.listen[i];
    if (ports[i] == 0) {
      return absl::UnavailableError(
          absl::StrCat("listen: cannot bind ", wanted));
    }
    addresses_.push_back(
        absl::StrCat(wanted.substr(0, wanted.rfind(':') + 1), ports[i]));
  }
  if (grpc_ == nullptr || socket_bound == 0) {
    return absl::UnavailableError(
        absl::StrCat("unix_socket: cannot bind ", options.unix_socket));
  }
  if (!options.unix_socket.empty()) addresses_.push_back(socket);
  service_.set_addresses(addresses_);
  grpc_->GetHealthCheckService()->SetServingStatus(
      v1::ActivationService::service_full_name(), true);
  return absl::OkStatus();
}

bool Listener::Parts::Refuse(absl::Duration timeout) {
  // gRPC's own shutdown answers a call that crosses its farewell with
  // CANCELLED, which no client retries. So it begins only when the calls are
  // done, and calls that still arrive have been told UNAVAILABLE.
  calls_.Close();
  LogEvent(LogLevel::kInfo, "refusing");
  all_calls_ended_ = calls_.AwaitNone(absl::Now() + timeout);
  return all_calls_ended_;
}

void Listener::Parts::Shutdown() {
  // Time to send the last responses. An idle client may be seconds late to
  // close its connection; the server does not wait for it.
  constexpr absl::Duration kFarewell = absl::Milliseconds(500);
  grpc_->Shutdown(absl::ToChronoTime(
      absl::Now() + (all_calls_ended_ ? kFarewell : absl::ZeroDuration())));
  grpc_->Wait();
}

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(
    const Options& options, const v1::ServerInfo& info,
    const ServingParts& parts, WorkerPool* slow_pool) {
  grpc::EnableDefaultHealthCheckService(true);
  if (options.reflection) {
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  }
  auto made = std::make_unique<Parts>(info, parts, slow_pool);
  ACTSERVE_RETURN_IF_ERROR(made->Listen(options));
  return std::unique_ptr<Listener>(new Listener(std::move(made)));
}

Listener::Listener(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Listener::~Listener() = default;

const std::vector<std::string>& Listener::addresses() const {
  return parts_->addresses();
}

void Listener::StopBeingHealthy() { parts_->StopBeingHealthy(); }

bool Listener::Refuse(absl::Duration timeout) {
  return parts_->Refuse(timeout);
}

void Listener::Shutdown() { parts_->Shutdown(); }

}  // namespace actserve
