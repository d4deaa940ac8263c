#ifndef ACTSERVE_SERVER_IDENTITY_AUTHENTICATOR_H_
#define ACTSERVE_SERVER_IDENTITY_AUTHENTICATOR_H_

#include <cstddef>
#include <limits>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "kernels/base/sha256.h"
#include "server/identity/roles.h"
#include "server/identity/snapshot.h"
#include "server/identity/tenant.h"
#include "server/identity/tenants.h"
#include "server/identity/watched_files.h"

namespace actserve {

// Who calls, and what it may do.
struct Identity {
  // Not null; lives as long as the Authenticator.
  Tenant* tenant = nullptr;
  Roles roles;
};

// Tells callers apart:
//
//   with tokens        by the token; without one UNAUTHENTICATED
//   without            by the client's certificate: the tenant is its subject's
//                      common name, the roles are compute and register
//   the unix socket    a token counts there too; without one the tenant is
//                      "local", with all roles, because the socket lets in only
//                      the users that it is for
//
// A token that has expired counts as unknown. A token is found by its SHA-256.
// How long the search takes depends on that digest alone, which a caller cannot
// steer to one that is near; digests are compared in constant time.
//
// A changed file of tokens is read within two seconds. One that is wrong is
// logged, and the tokens before stay valid.
//
// Thread-safe. Authenticate() takes no lock but for the first call of a thread
// after a change.
class Authenticator {
 public:
  struct Options {
    // Path of the file of tokens; empty: tenants are those of certificates.
    std::string tokens;
    // True if health asks for a token as well.
    bool health_needs_identity = false;
  };
  // What a call brings.
  struct Credentials {
    bool is_unix_socket = false;
    // The value of `authorization`; "" without one. More than one is none.
    absl::string_view authorization = "";
    bool is_ambiguous = false;
    // Of the client's certificate, which was verified; "" without one.
    absl::string_view common_name = "";
  };
  // Limit on the tenants that certificates have named since the start.
  static constexpr size_t kMaxTenantsOfCertificates = 4096;
  // The tenant of the unix socket.
  static constexpr absl::string_view kLocalTenant = "local";

  // Returns what ReadSecretFile() and ParseTokenFile() return, with the flag
  // and the path.
  static absl::StatusOr<std::unique_ptr<Authenticator>> Create(
      const Options& options);

  //   Unauthenticated  no token, or none that this server knows at `now`
  absl::StatusOr<Identity> Authenticate(const Credentials& credentials,
                                        absl::Time now = absl::Now()) const;

  // The same for a call that needs `role`. The call costs from the tenant's
  // quota of requests even if it is denied.
  //   ResourceExhausted  as Tenant::TakeRequest()
  //   PermissionDenied   the caller does not have the role
  absl::StatusOr<Identity> Authorize(const Credentials& credentials, Role role,
                                     absl::Time now = absl::Now()) const;

  bool health_needs_identity() const { return options_.health_needs_identity; }

  // Reads the file if it has changed; call it about once a second.
  void ReloadIfChanged();
  // Reads the file. What is wrong with it is logged, too.
  absl::Status Reload();

 private:
  struct Token {
    Identity identity;
    absl::Time expires;
  };
  // A digest is as good as random already.
  struct FirstBytes {
    size_t operator()(const Sha256Digest& digest) const;
  };
  struct SameBytes {
    bool operator()(const Sha256Digest& a, const Sha256Digest& b) const;
  };
  using Table = absl::flat_hash_map<Sha256Digest, Token, FirstBytes, SameBytes>;

  explicit Authenticator(const Options& options);
  absl::Status Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status LoadOrLog() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<Identity> ByToken(const Credentials& credentials,
                                   absl::Time now) const;
  absl::StatusOr<Identity> ByCertificate(absl::string_view name) const;

  const Options options_;
  // Those of all files so far: a file bounds how many it adds, and whatever it
  // leaves out must lose its tokens.
  Tenants tenants_{std::numeric_limits<size_t>::max()};
  // Apart, so that no certificate can name the unix socket's.
  mutable Tenants tenants_of_certificates_{kMaxTenantsOfCertificates};
  Tenant* const local_;
  Snapshot<Table> table_;
  absl::Mutex mu_;
  WatchedFiles watched_ ABSL_GUARDED_BY(mu_);
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_IDENTITY_AUTHENTICATOR_H_
