#include "kernels/base/sha256.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <cstdlib>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace actserve {

static_assert(sizeof(Sha256Digest) == SHA256_DIGEST_LENGTH);

Sha256Digest Sha256(std::string_view bytes) {
  // SHA256() of OpenSSL 3 looks the algorithm up each time, under a lock.
  static const EVP_MD* const algorithm =
      EVP_MD_fetch(nullptr, "SHA256", nullptr);
  Sha256Digest digest;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, algorithm,
                 nullptr) != 1) {
    // An identity or a check of a token that means nothing is worse than none.
    std::abort();
  }
  return digest;
}

std::string Sha256Hex(std::string_view bytes) {
  const Sha256Digest digest = Sha256(bytes);
  return absl::BytesToHexString(
      std::string(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

std::string Sha256Id(std::string_view bytes) {
  return absl::StrCat("sha256:", Sha256Hex(bytes));
}

}  // namespace actserve
