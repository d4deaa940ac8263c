#include "server/rpc/stream_guard.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/time/time.h"
#include "grpc/grpc.h"
#include "nlohmann/json.hpp"
#include "server/observe/log.h"
#include "server/observe/resident_bytes.h"

namespace actserve {
namespace {

using nlohmann::json;

constexpr absl::Duration kInterval = absl::Milliseconds(100);
// Growth of the process that is worth a look: 2,000 streams.
constexpr int64_t kGrowthBytes = int64_t{32} << 20;

// What a function of gRPC's channelz returned.
json Parsed(char* text) {
  const std::unique_ptr<char, decltype(&std::free)> owner(text, &std::free);
  return text == nullptr
             ? json()
             : json::parse(text, nullptr, /*allow_exceptions=*/false);
}

// Numbers of 64 bits are strings in channelz's JSON; absent ones are 0.
int64_t NumberIn(const json& object, const char* name) {
  const auto it = object.find(name);
  int64_t number = 0;
  if (it == object.end()) return 0;
  if (it->is_number()) return it->get<int64_t>();
  return it->is_string() && absl::SimpleAtoi(it->get<std::string>(), &number)
             ? number
             : 0;
}

const json& In(const json& object, const char* name) {
  static const json* const none = new json(json::object());
  if (!object.is_object()) return *none;
  const auto it = object.find(name);
  return it != object.end() ? *it : *none;
}

StreamGuard::Connection ConnectionOf(int64_t socket_id) {
  const json answer = Parsed(grpc_channelz_get_socket(socket_id));
  const json& socket = In(answer, "socket");
  const json& data = In(socket, "data");
  const json& remote = In(In(socket, "remote"), "tcpip_address");
  StreamGuard::Connection connection;
  const json& address = In(remote, "ip_address");
  if (address.is_string()) {
    absl::Base64Unescape(address.get<std::string>(), &connection.address);
  }
  connection.port = static_cast<int>(NumberIn(remote, "port"));
  connection.num_streams = NumberIn(data, "streamsStarted") -
                           NumberIn(data, "streamsSucceeded") -
                           NumberIn(data, "streamsFailed");
  return connection;
}

// Of all servers of this process.
std::vector<StreamGuard::Connection> Connections() {
  std::vector<StreamGuard::Connection> connections;
  const json answer = Parsed(grpc_channelz_get_servers(0));
  for (const json& server : In(answer, "server")) {
    const int64_t id = NumberIn(In(server, "ref"), "serverId");
    int64_t next_socket = 0;
    while (true) {
      const json page =
          Parsed(grpc_channelz_get_server_sockets(id, next_socket, 0));
      const json& sockets = In(page, "socketRef");
      for (const json& socket : sockets) {
        const int64_t socket_id = NumberIn(socket, "socketId");
        next_socket = std::max(next_socket, socket_id + 1);
        auto connection = ConnectionOf(socket_id);
        if (!connection.address.empty()) {
          connections.push_back(std::move(connection));
        }
      }
      if (sockets.empty() || In(page, "end") == json(true)) break;
    }
  }
  return connections;
}

}  // namespace

std::vector<StreamGuard::Connection> StreamGuard::ToClose(
    std::vector<Connection> connections, const Options& options) {
  std::ranges::sort(connections, std::greater(), &Connection::num_streams);
  int64_t num_streams = 0;
  for (const Connection& each : connections) num_streams += each.num_streams;
  size_t num_closed = 0;
  while (num_closed < connections.size() &&
         (connections[num_closed].num_streams > options.max_streams ||
          num_streams > options.max_bytes / kStreamBytes)) {
    num_streams -= connections[num_closed++].num_streams;
  }
  connections.resize(num_closed);
  return connections;
}

StreamGuard::StreamGuard(const Options& options, Close close)
    : options_(options), close_(std::move(close)), thread_([this] { Run(); }) {}

StreamGuard::~StreamGuard() {
  stopped_.Notify();
  thread_.join();
}

void StreamGuard::Run() {
  int64_t seen_bytes = ResidentBytes();
  while (!stopped_.WaitForNotificationWithTimeout(kInterval)) {
    const int64_t bytes = ResidentBytes();
    const bool has_grown = bytes - seen_bytes >= kGrowthBytes;
    if (has_grown || bytes < seen_bytes) seen_bytes = bytes;
    if (!has_grown) continue;
    for (const Connection& each : ToClose(Connections(), options_)) {
      LogEvent(LogLevel::kWarning, "too_many_streams",
               {{"streams", each.num_streams}});
      close_(each.address, each.port);
    }
  }
}

}  // namespace actserve
