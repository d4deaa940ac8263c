#include "server/tls/server_tls.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/time/clock.h"
#include "grpc/grpc.h"
#include "grpc/grpc_security.h"
#include "kernels/base/status_macros.h"
#include "server/metrics/reloads.h"
#include "server/observe/log.h"

namespace actserve {
namespace {

void LogLoaded(const TlsFiles& files, const TlsMaterial& material) {
  const absl::Duration left = material.expires - absl::Now();
  LogEvent(left < absl::Hours(7 * 24) ? LogLevel::kWarning : LogLevel::kInfo,
           "tls_loaded",
           {{"certificate", files.cert},
            {"expires", absl::FormatTime(absl::RFC3339_sec, material.expires,
                                         absl::UTCTimeZone())},
            {"client_certificates",
             std::string(material.client_ca.empty() ? "none" : "required")}});
}

}  // namespace

// gRPC's C++ classes load new files by a watcher of their own, which takes a
// key and a certificate that do not match. Its C API asks this class at each
// handshake instead.
class ServerTls::Credentials final : public grpc::ServerCredentials {
 public:
  explicit Credentials(ServerTls* tls) : tls_(*tls) {
    grpc_ssl_server_credentials_options* const options =
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            tls_.files_.client_ca.empty()
                ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY,
            &Credentials::Fetch, this);
    credentials_ = grpc_ssl_server_credentials_create_with_options(options);
  }
  ~Credentials() override { grpc_server_credentials_release(credentials_); }

  // Tokens are checked where a call is served.
  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address,
                      grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // gRPC calls it at each handshake, one at a time for a port.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    auto& credentials = *static_cast<Credentials*>(self);
    ServerTls& tls = credentials.tls_;
    absl::MutexLock lock(&tls.material_mu_);
    if (credentials.version_ == tls.version_) {
      return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    }
    credentials.version_ = tls.version_;
    const TlsMaterial& material = tls.material_;
    const grpc_ssl_pem_key_cert_pair pair = {material.key.c_str(),
                                             material.cert.c_str()};
    // gRPC insists on authorities even if no client is asked for a certificate.
    const std::string& authorities =
        material.client_ca.empty() ? material.cert : material.client_ca;
    *config = grpc_ssl_server_certificate_config_create(authorities.c_str(),
                                                        &pair, 1);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  ServerTls& tls_;
  grpc_server_credentials* credentials_ = nullptr;
  int64_t version_ = 0;  // guarded by ServerTls::material_mu_
};

absl::StatusOr<std::unique_ptr<ServerTls>> ServerTls::Create(
    const TlsFiles& files) {
  WatchedFiles watched(files.paths());  // before they are read
  ACTSERVE_ASSIGN_OR_RETURN(TlsMaterial material, LoadTls(files, absl::Now()));
  LogLoaded(files, material);
  return absl::WrapUnique(
      new ServerTls(files, std::move(watched), std::move(material)));
}

ServerTls::ServerTls(const TlsFiles& files, WatchedFiles watched,
                     TlsMaterial material)
    : files_(files),
      watched_(std::move(watched)),
      material_(std::move(material)),
      credentials_(std::make_shared<Credentials>(this)) {}

void ServerTls::ReloadIfChanged() {
  absl::MutexLock lock(&mu_);
  if (watched_.Changed()) Load().IgnoreError();
}

absl::Status ServerTls::Reload() {
  absl::MutexLock lock(&mu_);
  watched_.MarkKnown();
  return Load();
}

absl::Time ServerTls::expires() const {
  absl::MutexLock lock(&material_mu_);
  return material_.expires;
}

absl::Status ServerTls::Load() {
  auto material = LoadTls(files_, absl::Now());
  CountReload(ReloadedFiles::kTls, material.ok());
  if (!material.ok()) {
    LogEvent(LogLevel::kError, "tls_not_reloaded",
             {{"reason", std::string(material.status().message())}});
    return material.status();
  }
  LogLoaded(files_, *material);
  absl::MutexLock lock(&material_mu_);
  material_ = *std::move(material);
  ++version_;
  return absl::OkStatus();
}

}  // namespace actserve
