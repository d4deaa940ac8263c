#ifndef ACTSERVE_SERVER_TLS_CERTIFICATES_H_
#define ACTSERVE_SERVER_TLS_CERTIFICATES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace actserve {

// Where the server's certificates are: PEM files.
struct TlsFiles {
  // The server's certificate, then those of the authorities between it and a
  // root that clients know. Empty: no TLS.
  std::string cert;
  // The private key of the first certificate.
  std::string key;
  // The authorities that sign the certificates of clients. Empty: clients need
  // none.
  std::string client_ca;

  bool enabled() const { return !cert.empty(); }
  // Those that are set.
  std::vector<std::string> paths() const;
};

// The content of the files, checked.
struct TlsMaterial {
  std::string cert;
  std::string key;
  std::string client_ca;
  // When the server's certificate expires.
  absl::Time expires;
};

// Reads and checks the files. A message begins with the flag and the path, and
// never has a part of a key.
//   InvalidArgument     a file has no certificate or key, or something else;
//                       the key is of another certificate or has a passphrase
//   FailedPrecondition  the certificate is not valid yet, or not any more
//   NotFound            a file cannot be opened
absl::StatusOr<TlsMaterial> LoadTls(const TlsFiles& files, absl::Time now);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_TLS_CERTIFICATES_H_
