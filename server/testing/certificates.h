#ifndef ACTSERVE_SERVER_TESTING_CERTIFICATES_H_
#define ACTSERVE_SERVER_TESTING_CERTIFICATES_H_

#include <memory>
#include <string>

#include "absl/time/time.h"

namespace actserve::testing {

// A certificate authority that lives as long as a test.
class Authority {
 public:
  // A certificate and its key, in PEM.
  struct Pair {
    std::string cert;
    std::string key;
  };

  explicit Authority(const std::string& name);
  ~Authority();

  // The authority's own certificate, in PEM.
  const std::string& cert() const { return cert_; }

  // Signs a certificate for the subject `name`, which is also valid for
  // localhost and 127.0.0.1, from `begins` on for a day.
  Pair Sign(const std::string& name,
            absl::Time begins = absl::InfinitePast()) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
  std::string cert_;
};

// Writes `content` so that readers see the old file or the new one.
void ReplaceFile(const std::string& path, const std::string& content);

}  // namespace actserve::testing

#endif  // ACTSERVE_SERVER_TESTING_CERTIFICATES_H_
