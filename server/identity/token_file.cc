#include "server/identity/token_file.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"
#include "nlohmann/json.hpp"

namespace actserve {
namespace {

using Json = nlohmann::json;

// Of a list in an object in a list in the file.
constexpr int kMaxDepth = 8;

// OK if `value` is an object with no other names than `names`.
absl::Status CheckNames(const std::string& where, const Json& value,
                        std::initializer_list<absl::string_view> names) {
  if (!value.is_object()) return InvalidArgument(where, ": not an object");
  for (const auto& [name, unused] : value.items()) {
    if (std::ranges::find(names, name) == names.end()) {
      return InvalidArgument(where, ": ", Quoted(name), " is not a name here");
    }
  }
  return absl::OkStatus();
}

// `value` as a number of at least `least`.
absl::StatusOr<double> NumberOf(const std::string& where, const Json& value,
                                double least) {
  if (!value.is_number() || !(value.get<double>() >= least)) {
    return InvalidArgument(where, ": not a number of at least ", least);
  }
  return value.get<double>();
}

absl::StatusOr<int64_t> CountOf(const std::string& where, const Json& value) {
  if (!value.is_number_unsigned() ||
      value.get<uint64_t>() >= uint64_t{std::numeric_limits<int64_t>::max()}) {
    return InvalidArgument(where, ": not a whole number of at least 0");
  }
  return value.get<int64_t>();
}

absl::StatusOr<TenantQuotas> QuotasOf(const std::string& where,
                                      const Json& value) {
  ACTSERVE_RETURN_IF_ERROR(
      CheckNames(where, value,
                 {"requests_per_second", "bytes_in_flight", "residual_bytes",
                  "registered_activations", "compile_seconds_per_minute"}));
  // One request in 1000 s, and one second in 1000 minutes.
  constexpr double kLeastRate = 1e-3;
  TenantQuotas quotas;
  for (const auto& [name, limit] : value.items()) {
    const std::string place = absl::StrCat(where, ".", name);
    if (name == "requests_per_second") {
      ACTSERVE_ASSIGN_OR_RETURN(quotas.requests_per_second,
                                NumberOf(place, limit, kLeastRate));
    } else if (name == "compile_seconds_per_minute") {
      ACTSERVE_ASSIGN_OR_RETURN(const double seconds,
                                NumberOf(place, limit, kLeastRate));
      quotas.compile_time_per_minute = absl::Seconds(seconds);
    } else {
      int64_t& target = name == "bytes_in_flight" ? quotas.bytes_in_flight
                        : name == "residual_bytes"
                            ? quotas.residual_bytes
                            : quotas.registered_activations;
      ACTSERVE_ASSIGN_OR_RETURN(target, CountOf(place, limit));
    }
  }
  return quotas;
}

absl::Status CheckTenantName(const std::string& where,
                             const std::string& name) {
  const bool printable = std::ranges::all_of(name, absl::ascii_isgraph);
  if (name.empty() || name.size() > kMaxTenantNameBytes || !printable) {
    return InvalidArgument(where, ": the name of a tenant has 1 to ",
                           kMaxTenantNameBytes,
                           " characters of ASCII without spaces");
  }
  return absl::OkStatus();
}

// A time as RFC 3339 writes it, in UTC and whole seconds.
absl::StatusOr<absl::Time> TimeOf(const std::string& where, const Json& value) {
  constexpr absl::string_view kFormat = "%Y-%m-%dT%H:%M:%SZ";
  const std::string text = value.is_string() ? value.get<std::string>() : "";
  absl::Time time;
  // The parser also takes words for infinity, spaces and single digits.
  if (!absl::EndsWith(text, "Z") ||
      !absl::ParseTime(kFormat, text, &time, nullptr) ||
      absl::FormatTime(kFormat, time, absl::UTCTimeZone()) != text) {
    return InvalidArgument(where,
                           ": not a time in UTC such as 2030-01-31T00:00:00Z");
  }
  return time;
}

absl::StatusOr<TokenFile::Token> TokenOf(const std::string& where,
                                         const Json& value) {
  ACTSERVE_RETURN_IF_ERROR(
      CheckNames(where, value, {"sha256", "tenant", "roles", "expires"}));
  TokenFile::Token token;
  const Json digest = value.value("sha256", Json());
  const std::string hex = digest.is_string() ? digest.get<std::string>() : "";
  if (hex.size() != 2 * token.digest.size() ||
      !std::ranges::all_of(hex, absl::ascii_isxdigit)) {
    return InvalidArgument(where, ".sha256: not 64 hexadecimal digits");
  }
  const std::string bytes = absl::HexStringToBytes(hex);
  std::ranges::copy(bytes, token.digest.begin());
  const Json tenant = value.value("tenant", Json());
  if (tenant.is_string()) token.tenant = tenant.get<std::string>();
  ACTSERVE_RETURN_IF_ERROR(CheckTenantName(where + ".tenant", token.tenant));
  for (const Json& role : value.value("roles", Json::array())) {
    const auto found = std::ranges::find_if(kRoleNames, [&](const auto& known) {
      return role.is_string() && role.get<std::string>() == known.first;
    });
    if (found == kRoleNames.end()) {
      return InvalidArgument(where,
                             ".roles: not one of compute, register, admin");
    }
    token.roles.Add(found->second);
  }
  if (token.roles.empty()) return InvalidArgument(where, ".roles: none");
  if (value.contains("expires")) {
    ACTSERVE_ASSIGN_OR_RETURN(token.expires,
                              TimeOf(where + ".expires", value["expires"]));
  }
  return token;
}

// What the parser would take: a name that is given twice, of which it would use
// the last, a zero byte, at which it would stop, and lists that never end.
absl::StatusOr<Json> Parse(absl::string_view json) {
  if (absl::StrContains(json, '\0')) return InvalidArgument("a zero byte");
  bool is_too_deep = false, is_repeated = false;
  std::vector<std::set<std::string>> names;
  const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    is_too_deep |= depth > kMaxDepth;
    if (event == Event::object_start) names.emplace_back();
    if (event == Event::object_end && !names.empty()) names.pop_back();
    if (event == Event::key && !names.empty()) {
      is_repeated |= !names.back().insert(parsed.get<std::string>()).second;
    }
    return !is_too_deep;
  };
  Json root = Json::parse(json, check, /*allow_exceptions=*/false);
  if (is_too_deep) return InvalidArgument("nested more than ", kMaxDepth);
  if (root.is_discarded()) return InvalidArgument("not JSON");
  if (is_repeated) return InvalidArgument("a name is given more than once");
  return root;
}

}  // namespace

absl::StatusOr<TokenFile> ParseTokenFile(absl::string_view json) {
  ACTSERVE_ASSIGN_OR_RETURN(const Json root, Parse(json));
  ACTSERVE_RETURN_IF_ERROR(CheckNames("the file", root, {"tenants", "tokens"}));
  TokenFile file;
  const Json tenants = root.value("tenants", Json::object());
  if (!tenants.is_object()) return InvalidArgument("tenants: not an object");
  for (const auto& [name, quotas] : tenants.items()) {
    ACTSERVE_RETURN_IF_ERROR(CheckTenantName("tenants", name));
    ACTSERVE_ASSIGN_OR_RETURN(file.tenants[name],
                              QuotasOf(absl::StrCat("tenants.", name), quotas));
  }
  const Json tokens = root.value("tokens", Json());
  if (!tokens.is_array()) return InvalidArgument("tokens: not a list");
  std::set<Sha256Digest> digests;
  std::set<std::string> names;
  for (const Json& token : tokens) {
    const std::string where = absl::StrCat("tokens[", file.tokens.size(), "]");
    ACTSERVE_ASSIGN_OR_RETURN(file.tokens.emplace_back(),
                              TokenOf(where, token));
    if (!digests.insert(file.tokens.back().digest).second) {
      return InvalidArgument(where, ".sha256: given more than once");
    }
    names.insert(file.tokens.back().tenant);
    if (names.size() > kMaxTenantsOfFile) {
      return InvalidArgument(where, ".tenant: one of more than ",
                             kMaxTenantsOfFile, " tenants");
    }
  }
  return file;
}

}  // namespace actserve
