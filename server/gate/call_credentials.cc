#include "server/gate/call_credentials.h"

#include <iterator>

#include "absl/strings/match.h"
#include "grpc/grpc_security.h"
#include "grpc/grpc_security_constants.h"

namespace actserve {
namespace {

// The first value of a property; "" without one.
absl::string_view Property(const grpc_auth_context* connection,
                           const char* name) {
  grpc_auth_property_iterator it =
      grpc_auth_context_find_properties_by_name(connection, name);
  const grpc_auth_property* const found = grpc_auth_property_iterator_next(&it);
  if (found == nullptr) return "";
  return {found->value, found->value_length};
}

}  // namespace

Authenticator::Credentials CredentialsOf(grpc::ServerContextBase& context) {
  Authenticator::Credentials credentials;
  credentials.is_unix_socket = absl::StartsWith(context.peer(), "unix");
  const auto [begin, end] =
      context.client_metadata().equal_range("authorization");
  if (begin != end) {
    credentials.authorization = {begin->second.data(), begin->second.size()};
    credentials.is_ambiguous = std::next(begin) != end;
  }
  // It lives as long as the call.
  grpc_auth_context* const connection =
      grpc_call_auth_context(context.c_call());
  credentials.common_name = Property(connection, GRPC_X509_CN_PROPERTY_NAME);
  if (credentials.common_name.empty()) {
    credentials.common_name = Property(connection, GRPC_X509_SAN_PROPERTY_NAME);
  }
  grpc_auth_context_release(connection);
  return credentials;
}

}  // namespace actserve
