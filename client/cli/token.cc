// The command that makes tokens for a server.

#include <openssl/rand.h>

#include <array>
#include <iostream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/commands.h"
#include "kernels/base/sha256.h"

namespace actserve {
namespace {

// So that scanners for secrets that leaked find tokens.
constexpr absl::string_view kPrefix = "actserve_";
// As many bits as the digest.
constexpr size_t kRandomBytes = 32;

}  // namespace

absl::Status NewToken(const NewTokenFlags& flags) {
  std::array<unsigned char, kRandomBytes> random;
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) {
    return absl::InternalError("the system gives no random bytes");
  }
  const std::string token = absl::StrCat(
      kPrefix, absl::WebSafeBase64Escape(absl::string_view(
                   reinterpret_cast<char*>(random.data()), random.size())));
  std::cout << token << "\n"
            << R"({"sha256": ")" << Sha256Hex(token) << R"(", "tenant": ")"
            << flags.tenant << R"(", "roles": [")"
            << absl::StrJoin(flags.roles, R"(", ")") << "\"]";
  if (!flags.expires.empty()) {
    std::cout << R"(, "expires": ")" << flags.expires << "\"";
  }
  std::cout << "}\n";
  return absl::OkStatus();
}

}  // namespace actserve
