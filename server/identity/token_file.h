// The file of tokens: JSON with the digests of tokens, and what each may do.
//
//   {"tenants": {"a": {"requests_per_second": 100}},
//    "tokens": [{"sha256": "<64 hexadecimal digits>", "tenant": "a",
//                "roles": ["compute", "register"],
//                "expires": "2030-01-31T00:00:00Z"}]}
//
// `expires` is optional.
//
// Tokens are random and long (see `actctl token new`), so a digest without salt
// or work factor tells nothing about them.

#ifndef ACTSERVE_SERVER_IDENTITY_TOKEN_FILE_H_
#define ACTSERVE_SERVER_IDENTITY_TOKEN_FILE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "kernels/base/sha256.h"
#include "server/identity/roles.h"
#include "server/identity/tenant.h"

namespace actserve {

struct TokenFile {
  struct Token {
    Sha256Digest digest;
    std::string tenant;
    Roles roles;
    absl::Time expires = absl::InfiniteFuture();
  };
  // Only those with quotas must be named.
  std::map<std::string, TenantQuotas> tenants;
  std::vector<Token> tokens;
};

// Limit on the tenants that have tokens in one file.
inline constexpr size_t kMaxTenantsOfFile = 4096;

// Limit on the bytes of a tenant's name.
inline constexpr size_t kMaxTenantNameBytes = 256;

// Strict: what it does not know is an error, since a quota with a misspelt name
// would be none.
//   InvalidArgument  not of that form; the message has the place, and nothing
//                    of the digests
absl::StatusOr<TokenFile> ParseTokenFile(absl::string_view json);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_IDENTITY_TOKEN_FILE_H_
