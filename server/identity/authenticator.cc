#include "server/identity/authenticator.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"
#include "server/identity/token_file.h"
#include "server/metrics/refusals.h"
#include "server/metrics/reloads.h"
#include "server/observe/log.h"

namespace actserve {
namespace {

constexpr absl::string_view kScheme = "Bearer ";
// Longer ones are not hashed.
constexpr size_t kMaxTokenBytes = 1024;

absl::Status NoTokenError() {
  return absl::UnauthenticatedError(
      "this server wants a token, as metadata: authorization: Bearer TOKEN");
}

absl::Status WrongTokenError() {
  return absl::UnauthenticatedError("the token is not valid on this server");
}

absl::Status NoCertificateError() {
  return absl::UnauthenticatedError(
      "this server wants a client certificate with a name");
}

Roles RolesOfCertificates() {
  Roles roles;
  roles.Add(Role::kCompute);
  roles.Add(Role::kRegister);
  return roles;
}

std::vector<std::string> PathsOf(const Authenticator::Options& options) {
  if (options.tokens.empty()) return {};
  return {options.tokens};
}

}  // namespace

bool Authenticator::SameBytes::operator()(const Sha256Digest& a,
                                          const Sha256Digest& b) const {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

size_t Authenticator::FirstBytes::operator()(const Sha256Digest& digest) const {
  size_t bytes = 0;
  std::memcpy(&bytes, digest.data(), sizeof(bytes));
  return bytes;
}

Authenticator::Authenticator(const Options& options)
    : options_(options),
      local_(tenants_.Get(kLocalTenant)),
      table_(std::make_shared<Table>()),
      watched_(PathsOf(options)) {}

absl::StatusOr<std::unique_ptr<Authenticator>> Authenticator::Create(
    const Options& options) {
  auto made = absl::WrapUnique(new Authenticator(options));
  absl::MutexLock lock(&made->mu_);
  ACTSERVE_RETURN_IF_ERROR(made->Load());
  return made;
}

absl::Status Authenticator::Load() {
  if (options_.tokens.empty()) return absl::OkStatus();
  ACTSERVE_ASSIGN_OR_RETURN(
      const std::string json,
      ReadSecretFile("tokens", options_.tokens, /*private_only=*/true));
  auto file = ParseTokenFile(json);
  if (!file.ok()) {
    return absl::Status(file.status().code(),
                        absl::StrCat("tokens: ", options_.tokens, ": ",
                                     file.status().message()));
  }
  auto table = std::make_shared<Table>();
  for (const TokenFile::Token& token : file->tokens) {
    Tenant* const tenant = tenants_.Get(token.tenant);
    table->emplace(token.digest, Token{{tenant, token.roles}, token.expires});
  }
  // Those without quotas lose what they had.
  for (const TokenFile::Token& token : file->tokens) {
    tenants_.Get(token.tenant)->SetQuotas(file->tenants[token.tenant]);
  }
  local_->SetQuotas(file->tenants[std::string(kLocalTenant)]);
  table_.Set(std::move(table));
  LogEvent(LogLevel::kInfo, "tokens_loaded",
           {{"tokens", static_cast<int64_t>(file->tokens.size())},
            {"tenants", static_cast<int64_t>(file->tenants.size())}});
  return absl::OkStatus();
}

absl::StatusOr<Identity> Authenticator::Authenticate(
    const Credentials& credentials, absl::Time now) const {
  const bool has_token =
      credentials.is_ambiguous || !credentials.authorization.empty();
  if (credentials.is_unix_socket && !has_token) {
    return Identity{local_, Roles::All()};
  }
  if (!options_.tokens.empty()) return ByToken(credentials, now);
  if (credentials.is_unix_socket) return Identity{local_, Roles::All()};
  return ByCertificate(credentials.common_name);
}

absl::StatusOr<Identity> Authenticator::ByToken(const Credentials& credentials,
                                                absl::Time now) const {
  if (credentials.is_ambiguous) return WrongTokenError();
  if (credentials.authorization.empty()) return NoTokenError();
  absl::string_view token = credentials.authorization;
  if (!absl::StartsWithIgnoreCase(token, kScheme)) return WrongTokenError();
  token.remove_prefix(kScheme.size());
  if (token.size() > kMaxTokenBytes) return WrongTokenError();
  const Sha256Digest digest = Sha256({token.data(), token.size()});
  const Table& table = table_.Get();
  const auto found = table.find(digest);
  if (found == table.end() || now >= found->second.expires) {
    return WrongTokenError();
  }
  return found->second.identity;
}

absl::StatusOr<Identity> Authenticator::ByCertificate(
    absl::string_view name) const {
  const bool printable = std::ranges::all_of(
      name, [](unsigned char c) { return c > ' ' && c != 0x7F; });
  if (name.empty() || name.size() > kMaxTenantNameBytes || !printable) {
    return NoCertificateError();
  }
  Tenant* const tenant = tenants_of_certificates_.Get(name);
  if (tenant == nullptr) return NoCertificateError();
  return Identity{tenant, RolesOfCertificates()};
}

absl::StatusOr<Identity> Authenticator::Authorize(
    const Credentials& credentials, Role role, absl::Time now) const {
  ACTSERVE_ASSIGN_OR_RETURN(const Identity identity,
                            Authenticate(credentials, now));
  if (absl::Status over = identity.tenant->TakeRequest(now); !over.ok()) {
    CountRefusal(Refusal::kTenantRequests);
    return over;
  }
  if (identity.roles.Has(role)) return identity;
  return absl::PermissionDeniedError(
      absl::StrCat("this caller does not have the role ", NameOf(role)));
}

void Authenticator::ReloadIfChanged() {
  absl::MutexLock lock(&mu_);
  if (watched_.Changed()) LoadOrLog().IgnoreError();
}

absl::Status Authenticator::Reload() {
  absl::MutexLock lock(&mu_);
  watched_.MarkKnown();
  return LoadOrLog();
}

absl::Status Authenticator::LoadOrLog() {
  if (options_.tokens.empty()) return absl::OkStatus();
  absl::Status status = Load();
  CountReload(ReloadedFiles::kTokens, status.ok());
  if (!status.ok()) {
    LogEvent(LogLevel::kError, "tokens_not_reloaded",
             {{"reason", std::string(status.message())}});
  }
  return status;
}

}  // namespace actserve
