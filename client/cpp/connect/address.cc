#include "client/cpp/connect/address.h"

#include <sys/un.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "proto/default_address.h"

namespace actserve {
namespace {

// Without the zero at its end.
constexpr size_t kMaxSocketPathBytes = sizeof(sockaddr_un::sun_path) - 1;
// Schemes that name hosts.
constexpr absl::string_view kHostSchemes[] = {"dns:", "ipv4:", "ipv6:"};

absl::string_view DefaultPort() {
  const absl::string_view address = kDefaultTcpAddress;
  return address.substr(address.rfind(':') + 1);
}

absl::Status Refusal(absl::string_view address, absl::string_view problem) {
  return absl::InvalidArgumentError(
      absl::StrCat("address '", address, "': ", problem));
}

absl::Status CheckUnix(absl::string_view address, absl::string_view path) {
  absl::ConsumePrefix(&path, "//");
  if (path.empty()) return Refusal(address, "has no path; write unix:PATH");
  if (path.size() > kMaxSocketPathBytes) {
    return Refusal(address,
                   absl::StrCat("path of ", path.size(), " bytes, limit ",
                                kMaxSocketPathBytes));
  }
  return absl::OkStatus();
}

absl::Status CheckHostPort(absl::string_view address) {
  const size_t colon = address.rfind(':');
  const bool bracketed = absl::StartsWith(address, "[");
  if (!bracketed && std::count(address.begin(), address.end(), ':') > 1) {
    // "::1:50051" ends with a port, "fe80::1" does not.
    const absl::string_view last = address.substr(colon + 1);
    const bool has_port = last.size() == DefaultPort().size();
    return Refusal(address,
                   absl::StrCat("an IPv6 address stands in brackets; write [",
                                has_port ? address.substr(0, colon) : address,
                                "]:", has_port ? last : DefaultPort()));
  }
  const bool has_port = bracketed ? absl::StrContains(address, "]:")
                                  : colon != absl::string_view::npos;
  const absl::string_view host = has_port ? address.substr(0, colon) : address;
  const absl::string_view port = has_port ? address.substr(colon + 1) : "";
  if (host.empty()) {
    return Refusal(address, "has no host; write host:port or unix:PATH");
  }
  if (port.empty()) {
    return Refusal(
        address, absl::StrCat("has no port; write ", host, ":", DefaultPort()));
  }
  int number = 0;
  if (!std::all_of(port.begin(), port.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(port, &number) || number < 1 || number > 65535) {
    return Refusal(address,
                   absl::StrCat("port ", port, " is not in 1 .. 65535"));
  }
  return absl::OkStatus();
}

bool IsLoopbackHost(absl::string_view host_and_port) {
  std::string host = absl::AsciiStrToLower(absl::StrReplaceAll(
      host_and_port, {{"%5B", "["}, {"%5b", "["}, {"%5D", "]"}, {"%5d", "]"}}));
  if (absl::StartsWith(host, "[")) {
    host = host.substr(1, host.find(']') - 1);
    return host == "::1" || host == "0:0:0:0:0:0:0:1" ||
           absl::StartsWith(host, "::ffff:127.");
  }
  host = host.substr(0, host.rfind(':'));
  host = std::string(absl::StripSuffix(host, "."));
  if (host == "localhost" || absl::EndsWith(host, ".localhost")) return true;
  // Digits and dots: 127.example.com is a name.
  return absl::StartsWith(host, "127.") &&
         host.find_first_not_of("0123456789.") == std::string::npos;
}

absl::Status CheckOne(absl::string_view address) {
  const auto is_blank = [](char c) {
    return absl::ascii_isspace(c) || absl::ascii_iscntrl(c);
  };
  if (std::any_of(address.begin(), address.end(), is_blank)) {
    return Refusal(address, "holds a space or a control character");
  }
  if (absl::StartsWith(address, "unix:")) {
    return CheckUnix(address, address.substr(5));
  }
  if (absl::StartsWith(address, "unix-abstract:")) return absl::OkStatus();
  if (address == "local") {
    return Refusal(address, "is this process (Client::Local()), not a server");
  }
  // A host may be called "auto".
  if (absl::StartsWith(address, "auto:") &&
      std::count(address.begin(), address.end(), ':') > 1) {
    return Refusal(address,
                   "auto: is for Client::Auto(), and stands before the whole "
                   "address");
  }
  for (absl::string_view scheme : kHostSchemes) {
    if (!absl::StartsWith(address, scheme)) continue;
    if (address.size() > scheme.size()) return absl::OkStatus();
    return Refusal(address, "has no host; write host:port or unix:PATH");
  }
  const size_t slashes = address.find("://");
  if (slashes != absl::string_view::npos) {
    const absl::string_view rest = address.substr(slashes + 3);
    return Refusal(address, absl::StrCat(address.substr(0, slashes),
                                         " is no scheme of gRPC; write ",
                                         rest.substr(0, rest.find('/'))));
  }
  return CheckHostPort(address);
}

bool IsLoopbackOne(absl::string_view address) {
  if (IsUnixSocket({address.data(), address.size()})) return true;
  for (absl::string_view scheme : kHostSchemes) {
    if (!absl::ConsumePrefix(&address, scheme)) continue;
    // dns://AUTHORITY/HOST: the server of names may be anywhere.
    if (absl::ConsumePrefix(&address, "//")) {
      address = address.substr(address.find('/') + 1);
    }
    break;
  }
  return IsLoopbackHost(address);
}

absl::string_view ToAbsl(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

}  // namespace

absl::Status CheckAddress(std::string_view address) {
  const std::vector<absl::string_view> all =
      absl::StrSplit(ToAbsl(address), ',');
  for (const absl::string_view one : all) {
    if (one.empty() && all.size() > 1) {
      return Refusal(ToAbsl(address),
                     "has an empty part; write host:port,host:port");
    }
    absl::Status status = CheckOne(one);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

std::vector<std::string> SplitAddress(std::string_view address) {
  std::vector<std::string> all;
  for (const absl::string_view one : absl::StrSplit(ToAbsl(address), ',')) {
    if (!absl::c_linear_search(all, one)) all.emplace_back(one);
  }
  return all;
}

std::optional<HostPort> NameToLookUp(std::string_view address) {
  absl::string_view name = ToAbsl(address);
  if (!absl::ConsumePrefix(&name, "dns:")) return std::nullopt;
  absl::ConsumePrefix(&name, "///");
  // With an authority, or without a port: gRPC's to look up.
  if (absl::StartsWith(name, "/") || !CheckHostPort(name).ok()) {
    return std::nullopt;
  }
  const size_t colon = name.rfind(':');
  absl::string_view host = name.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  return HostPort{std::string(host), std::string(name.substr(colon + 1))};
}

bool IsUnixSocket(std::string_view one) {
  return one.starts_with("unix:") || one.starts_with("unix-abstract:");
}

bool IsLoopback(std::string_view address) {
  const std::vector<absl::string_view> all =
      absl::StrSplit(ToAbsl(address), ',');
  return std::all_of(all.begin(), all.end(), IsLoopbackOne);
}

}  // namespace actserve
