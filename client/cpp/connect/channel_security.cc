#include "client/cpp/connect/channel_security.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "absl/algorithm/container.h"
#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cpp/connect/address.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

void TakeFromEnvironment(const char* variable, std::string& value) {
  const char* const set = std::getenv(variable);
  if (value.empty() && set != nullptr) value = set;
}

absl::StatusOr<std::string> ReadFile(absl::string_view what,
                                     const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad() || content.empty()) {
    return InvalidArgument(what, ": ", path, " cannot be read or is empty");
  }
  return content;
}

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  ACTSERVE_ASSIGN_OR_RETURN(const std::string content,
                            ReadFile("token_file", path));
  return std::string(absl::StripAsciiWhitespace(content));
}

// A header can hold no others.
bool IsToken(const std::string& token) {
  return !token.empty() && std::ranges::all_of(token, [](unsigned char c) {
    return absl::ascii_isgraph(c);
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<TokenSource>> TokenSource::Create(
    const Security& security) {
  if (!security.token.empty() && !security.token_file.empty()) {
    return InvalidArgument("token and token_file: both are given");
  }
  auto source = absl::WrapUnique(new TokenSource(security.token_file));
  std::string token = security.token;
  if (!security.token_file.empty()) {
    ACTSERVE_ASSIGN_OR_RETURN(token, ReadToken(security.token_file));
  }
  if (!(token.empty() && security.token_file.empty()) && !IsToken(token)) {
    return InvalidArgument("token: it is not one line of ASCII without spaces");
  }
  absl::MutexLock lock(&source->mu_);
  source->token_ = std::move(token);
  return source;
}

std::string TokenSource::Get() const {
  absl::MutexLock lock(&mu_);
  return token_;
}

bool TokenSource::Refresh(const std::string& refused) {
  if (file_.empty()) return false;
  const auto token = ReadToken(file_);
  if (!token.ok() || !IsToken(*token)) return false;
  absl::MutexLock lock(&mu_);
  token_ = *token;
  return token_ != refused;
}

absl::StatusOr<ChannelSecurity> LoadSecurity(Security security,
                                             const std::string& address) {
  TakeFromEnvironment("ACTSERVE_TLS_CA", security.tls_ca);
  TakeFromEnvironment("ACTSERVE_CLIENT_CERT", security.client_cert);
  TakeFromEnvironment("ACTSERVE_CLIENT_KEY", security.client_key);
  TakeFromEnvironment("ACTSERVE_TLS_SERVER_NAME", security.tls_server_name);
  if (security.token.empty()) {
    TakeFromEnvironment("ACTSERVE_TOKEN_FILE", security.token_file);
  }
  ChannelSecurity loaded;
  ACTSERVE_ASSIGN_OR_RETURN(loaded.token, TokenSource::Create(security));
  if (security.client_cert.empty() != security.client_key.empty()) {
    return InvalidArgument(
        "client_cert and client_key: only one of them is given");
  }
  if (!security.client_cert.empty() && security.tls_ca.empty()) {
    return InvalidArgument("client_cert: given without tls_ca");
  }
  if (security.tls_ca.empty()) {
    if (!loaded.token->Get().empty() && !IsLoopback(address) &&
        !security.insecure) {
      return absl::FailedPreconditionError(absl::StrCat(
          "a token does not go to ", address,
          " in plain text: give tls_ca, or insecure if the network is safe"));
    }
    return loaded;
  }
  // No file is needed for none but unix sockets.
  if (absl::c_all_of(SplitAddress(address), IsUnixSocket)) return loaded;
  grpc::SslCredentialsOptions options;
  ACTSERVE_ASSIGN_OR_RETURN(options.pem_root_certs,
                            ReadFile("tls_ca", security.tls_ca));
  if (!security.client_cert.empty()) {
    ACTSERVE_ASSIGN_OR_RETURN(options.pem_cert_chain,
                              ReadFile("client_cert", security.client_cert));
    ACTSERVE_ASSIGN_OR_RETURN(options.pem_private_key,
                              ReadFile("client_key", security.client_key));
  }
  loaded.credentials = grpc::SslCredentials(options);
  loaded.tls_server_name = std::move(security.tls_server_name);
  return loaded;
}

}  // namespace actserve
