#ifndef ACTSERVE_SERVER_TLS_SERVER_TLS_H_
#define ACTSERVE_SERVER_TLS_SERVER_TLS_H_

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/security/server_credentials.h"
#include "server/identity/watched_files.h"
#include "server/tls/certificates.h"

namespace actserve {

// The server's side of TLS 1.2 or newer with ALPN h2, and of mutual TLS if
// there is a client_ca: then a connection without a certificate that it signs
// ends in its handshake.
//
// Files that change are used for new connections, the certificate with its key
// and authorities together. Files that do not pass LoadTls() are logged, and
// the old ones stay in use. Connections that exist go on.
//
// Thread-safe.
class ServerTls {
 public:
  // Returns what LoadTls() returns.
  static absl::StatusOr<std::unique_ptr<ServerTls>> Create(
      const TlsFiles& files);

  // The credentials of the port, of one gRPC server. This object must outlive
  // that.
  const std::shared_ptr<grpc::ServerCredentials>& credentials() const {
    return credentials_;
  }

  // When the certificate in use expires.
  absl::Time expires() const;

  // Reads the files if they have changed; call it about once a second.
  void ReloadIfChanged();
  // Reads the files. What is wrong with them is logged, too.
  absl::Status Reload();

 private:
  ServerTls(const TlsFiles& files, WatchedFiles watched, TlsMaterial material);
  absl::Status Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const TlsFiles files_;
  absl::Mutex mu_;
  WatchedFiles watched_ ABSL_GUARDED_BY(mu_);
  // Apart from mu_, so that no handshake waits for a file.
  mutable absl::Mutex material_mu_;
  TlsMaterial material_ ABSL_GUARDED_BY(material_mu_);
  int64_t version_ ABSL_GUARDED_BY(material_mu_) = 1;

  class Credentials;
  // gRPC calls it after its own objects are gone.
  const std::shared_ptr<grpc::ServerCredentials> credentials_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_TLS_SERVER_TLS_H_
