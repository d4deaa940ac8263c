#include "server/rpc/listener.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "grpc/grpc.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/impl/server_builder_option.h"
#include "grpcpp/impl/server_builder_plugin.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "kernels/base/status_macros.h"
#include "server/connections/connection_guard.h"
#include "server/connections/open_streams.h"
#include "server/evaluation/call_counter.h"
#include "server/gate/other_methods.h"
#include "server/listen/self_check.h"
#include "server/metrics/calls/other_calls.h"
#include "server/observe/log.h"
#include "server/rpc/health.h"
#include "server/rpc/service.h"

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

// As gRPC takes it.
int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

void SetTransport(const Listener::Options& options,
                  grpc::ServerBuilder* builder) {
  grpc::ResourceQuota quota("actserve");
  quota.Resize(options.max_request_memory_bytes);
  builder->SetResourceQuota(quota);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              options.max_streams);
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
  // Corrupts data (CVE-2024-11407), and is slower on a loopback.
  builder->AddChannelArgument(GRPC_ARG_TCP_TX_ZEROCOPY_ENABLED, 0);
  if (options.max_connection_age > absl::ZeroDuration()) {
    builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                                Milliseconds(options.max_connection_age));
    builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                                Milliseconds(options.max_connection_age_grace));
  }
  // A trainer may be silent for minutes between steps; its connection is
  // probed, and it may probe ours.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  // A peer that does not finish its handshake holds a descriptor.
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 20'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 30'000);
}

}  // namespace

// In the order of construction: each member uses those above it.
class Listener::Parts {
 public:
  Parts(const v1::ServerInfo& info, const ServingParts& parts,
        const ControlPools& pools, CallMetrics* metrics, CallObserver* observer,
        const Options& options)
      : streams_(options.body_timeout),
        service_(info, parts, &calls_, &streams_, metrics, observer, pools,
                 options.authenticator),
        health_(&calls_, metrics, options.authenticator),
        other_calls_(metrics) {
    const ServiceParts service_parts = {parts,
                                        calls_,
                                        streams_,
                                        metrics,
                                        *observer,
                                        options.authenticator,
                                        [this] { return health_.is_ready(); },
                                        [this] { return health_.is_alive(); }};
    for (const FurtherService& service : options.further_services) {
      further_services_.push_back(service.make(service_parts));
    }
  }

  absl::Status Listen(const Options& options, OnDead on_dead);
  const std::vector<std::string>& addresses() const {
    return acceptor_->addresses();
  }
  int num_connections() const { return acceptor_->num_connections(); }
  void StopBeingHealthy() { health_.StopBeingReady(); }
  void StopBeingAlive() { health_.StopBeingAlive(); }
  void Refuse();
  bool AwaitCalls(absl::Duration timeout) {
    return calls_.AwaitNone(absl::Now() + timeout);
  }
  // gRPC's own shutdown answers a call that crosses its farewell with
  // CANCELLED, which only our own clients repeat. A connection that is closed
  // gives UNAVAILABLE, which every client repeats.
  void CloseConnections() { acceptor_->CloseConnections(); }
  void Shutdown();
  ~Parts() {
    self_check_.reset();
    guard_.reset();
    if (acceptor_ != nullptr) acceptor_->Stop();
  }

 private:
  CallCounter calls_;
  OpenStreams streams_;
  Service service_;
  Health health_;
  std::vector<std::unique_ptr<grpc::Service>> further_services_;
  OtherCalls other_calls_;
  // It hands connections to those below, so it stops before they go.
  std::unique_ptr<Acceptor> acceptor_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> connections_;
  // Null without TLS.
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor>
      tls_connections_;
  std::unique_ptr<grpc::Server> grpc_;
  std::unique_ptr<ConnectionGuard> guard_;
  std::unique_ptr<SelfCheck> self_check_;
};

absl::Status Listener::Parts::Listen(const Options& options, OnDead on_dead) {
  ACTSERVE_ASSIGN_OR_RETURN(acceptor_, Acceptor::Listen(options.acceptor));
  service_.set_addresses(acceptor_->addresses());
  grpc::ServerBuilder builder;
  SetTransport(options, &builder);
  builder.RegisterService(&service_);
  builder.RegisterService(&health_);
  for (const auto& service : further_services_) {
    builder.RegisterService(service.get());
  }
  builder.RegisterCallbackGenericService(&other_calls_);
  using Builder = grpc::ServerBuilder::experimental_type;
  if (options.reflection && options.authenticator != nullptr) {
    std::vector<
        std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
        interceptors;
    std::vector<std::string> services = {
        v1::ActivationService::service_full_name(),
        grpc::health::v1::Health::service_full_name()};
    for (const FurtherService& service : options.further_services) {
      services.push_back(service.name);
    }
    interceptors.push_back(GuardOtherMethods(services, options.authenticator));
    builder.experimental().SetInterceptorCreators(std::move(interceptors));
  }
  connections_ = builder.experimental().AddExternalConnectionAcceptor(
      Builder::ExternalConnectionType::FROM_FD,
      grpc::InsecureServerCredentials());
  if (options.tls != nullptr) {
    tls_connections_ = builder.experimental().AddExternalConnectionAcceptor(
        Builder::ExternalConnectionType::FROM_FD, options.tls->credentials());
  }
  grpc_ = builder.BuildAndStart();
  if (grpc_ == nullptr) return absl::InternalError("gRPC does not start");
  acceptor_->Start([this](int listener_fd, int fd, bool is_unix_socket) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters
        connection;
    connection.listener_fd = listener_fd;
    connection.fd = fd;
    const bool plain = is_unix_socket || tls_connections_ == nullptr;
    (plain ? connections_ : tls_connections_)->HandleNewConnection(&connection);
  });
  guard_ = std::make_unique<ConnectionGuard>(
      ConnectionGuard::Options{options.max_streams,
                               options.max_stream_memory_bytes,
                               options.body_timeout},
      acceptor_.get(), &streams_);
  self_check_ = std::make_unique<SelfCheck>(
      SelfCheck::Options(), acceptor_->socket_addresses(), std::move(on_dead));
  return absl::OkStatus();
}

void Listener::Parts::Refuse() {
  // They use the sockets that listen.
  self_check_.reset();
  guard_.reset();
  acceptor_->Stop();
  calls_.Close();
  LogEvent(LogLevel::kInfo, "refusing");
}

void Listener::Parts::Shutdown() {
  grpc_->Shutdown(absl::ToChronoTime(absl::Now()));
  grpc_->Wait();
}

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(
    const Options& options, const v1::ServerInfo& info,
    const ServingParts& parts, const ControlPools& pools, CallMetrics* metrics,
    CallObserver* observer, OnDead on_dead) {
  // A reference to gRPC that is never given back. The thread that drops the
  // last one waits for gRPC's own poller, for up to 10 s if a large write was
  // cut off; so long a restart would lose calls.
  [[maybe_unused]] static const bool initialized = (grpc_init(), true);
  if (options.reflection) {
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  }
  auto made =
      std::make_unique<Parts>(info, parts, pools, metrics, observer, options);
  ACTSERVE_RETURN_IF_ERROR(made->Listen(options, std::move(on_dead)));
  return std::unique_ptr<Listener>(new Listener(std::move(made)));
}

Listener::Listener(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Listener::~Listener() = default;

const std::vector<std::string>& Listener::addresses() const {
  return parts_->addresses();
}

int Listener::num_connections() const { return parts_->num_connections(); }

void Listener::StopBeingHealthy() { parts_->StopBeingHealthy(); }

void Listener::StopBeingAlive() { parts_->StopBeingAlive(); }

void Listener::Refuse() { parts_->Refuse(); }

bool Listener::AwaitCalls(absl::Duration timeout) {
  return parts_->AwaitCalls(timeout);
}

void Listener::CloseConnections() { parts_->CloseConnections(); }

void Listener::Shutdown() { parts_->Shutdown(); }

}  // namespace actserve
