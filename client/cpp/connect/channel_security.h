#ifndef ACTSERVE_CLIENT_CPP_CONNECT_CHANNEL_SECURITY_H_
#define ACTSERVE_CLIENT_CPP_CONNECT_CHANNEL_SECURITY_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/cpp/connect/security.h"
#include "grpcpp/security/credentials.h"

namespace actserve {

// The token of a client. Thread-safe.
class TokenSource {
 public:
  // The token of `security`, which must have at most one of the two.
  //   InvalidArgument  the file cannot be read, or holds no token
  static absl::StatusOr<std::unique_ptr<TokenSource>> Create(
      const Security& security);

  // "" without a token.
  std::string Get() const;

  // Reads the file. Returns true if the token is another one than `refused`.
  bool Refresh(const std::string& refused);

 private:
  explicit TokenSource(std::string file) : file_(std::move(file)) {}

  const std::string file_;
  mutable absl::Mutex mu_;
  std::string token_ ABSL_GUARDED_BY(mu_);
};

// What a channel needs. A unix socket is plain whatever this says.
struct ChannelSecurity {
  // Null: no encryption.
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  std::string tls_server_name;
  std::unique_ptr<TokenSource> token;
};

// Reads the files. No message contains a token.
//   InvalidArgument     a file cannot be read; a certificate without its key; a
//                       token both as such and as a file
//   FailedPrecondition  a token would go over the network in plain text
absl::StatusOr<ChannelSecurity> LoadSecurity(Security security,
                                             const std::string& address);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_CONNECT_CHANNEL_SECURITY_H_
