#include "server/connections/open_connection.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "grpc/grpc.h"
#include "nlohmann/json.hpp"

namespace actserve {
namespace {

using nlohmann::json;

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

OpenConnection ConnectionOf(int64_t socket_id) {
  const json answer = Parsed(grpc_channelz_get_socket(socket_id));
  const json& socket = In(answer, "socket");
  const json& data = In(socket, "data");
  const json& remote = In(In(socket, "remote"), "tcpip_address");
  OpenConnection connection;
  connection.id = socket_id;
  const json& address = In(remote, "ip_address");
  if (address.is_string()) {
    absl::Base64Unescape(address.get<std::string>(), &connection.peer.address);
  }
  connection.peer.port = static_cast<int>(NumberIn(remote, "port"));
  connection.streams_started = NumberIn(data, "streamsStarted");
  connection.streams_succeeded = NumberIn(data, "streamsSucceeded");
  connection.streams_failed = NumberIn(data, "streamsFailed");
  connection.messages_received = NumberIn(data, "messagesReceived");
  return connection;
}

}  // namespace

std::vector<OpenConnection> OpenConnections() {
  std::vector<OpenConnection> connections;
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
        connections.push_back(ConnectionOf(socket_id));
      }
      if (sockets.empty() || In(page, "end") == json(true)) break;
    }
  }
  return connections;
}

}  // namespace actserve
