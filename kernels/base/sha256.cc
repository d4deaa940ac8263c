#include "kernels/base/sha256.h"

#include <openssl/sha.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace actserve {

std::string Sha256Id(std::string_view bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         digest);
  const std::string raw(reinterpret_cast<const char*>(digest), sizeof(digest));
  return absl::StrCat("sha256:", absl::BytesToHexString(raw));
}

}  // namespace actserve
