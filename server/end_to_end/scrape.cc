#include "server/end_to_end/scrape.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstddef>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace actserve::testing {
namespace {

// The addresses that "127.0.0.1", port "9464" or "::1" mean; none if they mean
// nothing.
std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> Resolve(
    const std::string& host, const std::string& port) {
  addrinfo hints = {};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) {
    found = nullptr;
  }
  return {found, &freeaddrinfo};
}

}  // namespace

std::string MetricsAddressOf(const ServerProcess& server) {
  const std::string field = "\"metrics\":\"";
  for (const std::string& line : server.log()) {
    if (!absl::StrContains(line, "\"event\":\"serving\"")) continue;
    const size_t start = line.find(field) + field.size();
    return line.substr(start, line.find('"', start) - start);
  }
  return "";
}

int ConnectFrom(const std::string& source, const std::string& address) {
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (absl::StartsWith(host, "[")) host = host.substr(1, host.size() - 2);
  const auto from = Resolve(source, "0");
  const auto to = Resolve(host, address.substr(colon + 1));
  if (from == nullptr || to == nullptr) return -1;
  const int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  constexpr timeval kPatience = {.tv_sec = 20, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof(kPatience));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience));
  if (bind(fd, from->ai_addr, from->ai_addrlen) == 0 &&
      connect(fd, to->ai_addr, to->ai_addrlen) == 0) {
    return fd;
  }
  close(fd);
  return -1;
}

std::string Exchange(int socket, const std::string& request) {
  send(socket, request.data(), request.size(), MSG_NOSIGNAL);
  std::string answer;
  char bytes[65536];
  for (;;) {
    const ssize_t count = recv(socket, bytes, sizeof(bytes), 0);
    if (count <= 0) return answer;
    answer.append(bytes, count);
  }
}

std::string Scrape(const std::string& address, const std::string& source) {
  const int fd = ConnectFrom(source, address);
  if (fd < 0) return "";
  const std::string answer =
      Exchange(fd, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  close(fd);
  const size_t body = answer.find("\r\n\r\n");
  if (!absl::StartsWith(answer, "HTTP/1.1 200 ") || body == std::string::npos) {
    return "";
  }
  return answer.substr(body + 4);
}

std::map<std::string, double> SeriesOf(const std::string& text) {
  std::map<std::string, double> series;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.empty() || line[0] == '#') continue;
    const size_t space = line.rfind(' ');
    double value = 0;
    if (absl::SimpleAtod(line.substr(space + 1), &value)) {
      series[std::string(line.substr(0, space))] = value;
    }
  }
  return series;
}

}  // namespace actserve::testing
