#include "server/connections/connection_guard.h"

#include <sys/resource.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <tuple>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/clock.h"
#include "server/listen/refused_hosts.h"
#include "server/observe/log.h"
#include "server/observe/resident_bytes.h"

namespace actserve {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(100);
// Growth of the process that is worth a look: 2,000 streams.
constexpr int64_t kGrowthBytes = int64_t{32} << 20;
// How often frames without calls are looked for, while the process is busy: a
// flood keeps it so.
constexpr absl::Duration kFramesInterval = absl::Seconds(1);
constexpr double kBusyCores = 0.5;
// Looks for stalled bodies in the time that one may take.
constexpr int kLooks = 4;

// The time that the process has computed so far.
absl::Duration ProcessorTime() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) +
         absl::DurationFromTimeval(usage.ru_stime);
}

absl::flat_hash_set<Peer> PeersOf(
    const std::vector<OpenConnection>& connections) {
  absl::flat_hash_set<Peer> peers;
  for (const OpenConnection& each : connections) peers.insert(each.peer);
  return peers;
}

}  // namespace

std::vector<OpenConnection> ConnectionGuard::WithTooManyStreams(
    std::vector<OpenConnection> connections, const Options& options) {
  absl::flat_hash_map<std::string, int64_t> streams_of_host;
  int64_t num_streams = 0;
  for (const OpenConnection& each : connections) {
    num_streams += each.num_streams();
    streams_of_host[HostOf(each.peer)] += each.num_streams();
  }
  const auto has_too_many = [&](const OpenConnection& each) {
    return each.num_streams() > options.max_streams;
  };
  std::ranges::sort(connections, std::greater(), [&](const auto& each) {
    return std::tuple(has_too_many(each), streams_of_host[HostOf(each.peer)],
                      each.num_streams());
  });
  size_t num_closed = 0;
  while (num_closed < connections.size() &&
         (has_too_many(connections[num_closed]) ||
          num_streams > options.max_bytes / kStreamBytes)) {
    num_streams -= connections[num_closed++].num_streams();
  }
  connections.resize(num_closed);
  return connections;
}

ConnectionGuard::ConnectionGuard(const Options& options, Acceptor* acceptor,
                                 OpenStreams* streams)
    : options_(options),
      acceptor_(*acceptor),
      streams_(*streams),
      seen_bytes_(ResidentBytes()),
      bodies_(options.body_timeout),
      looked_at_bodies_(absl::Now()),
      looked_at_frames_(absl::Now()),
      computed_(ProcessorTime()),
      frames_interval_(kFramesInterval),
      thread_([this] { Run(); }) {}

ConnectionGuard::~ConnectionGuard() {
  stopped_.Notify();
  thread_.join();
}

void ConnectionGuard::Close(
    const char* event, Refusal reason,
    const std::vector<OpenConnection>& connections) const {
  if (connections.empty()) return;
  CountRefusal(reason, static_cast<int64_t>(connections.size()));
  int64_t num_streams = 0;
  for (const OpenConnection& each : connections) {
    num_streams += each.num_streams();
  }
  LogEvent(LogLevel::kWarning, event,
           {{"connections", static_cast<int64_t>(connections.size())},
            {"streams", num_streams}});
  acceptor_.CloseConnections(PeersOf(connections));
}

std::vector<OpenConnection> ConnectionGuard::FindStalled() {
  std::optional<absl::flat_hash_map<Peer, int64_t>> bytes;
  std::vector<OpenConnection> connections = OpenConnections();
  streams_.Discount(connections);
  return bodies_.Find(
      connections,
      [&](const OpenConnection& connection) -> std::optional<int64_t> {
        if (connection.peer.address.empty()) return std::nullopt;
        if (!bytes) bytes = acceptor_.ReceivedBytes();
        const auto found = bytes->find(connection.peer);
        return found != bytes->end() ? found->second : 0;
      },
      absl::Now());
}

void ConnectionGuard::LookAtStreams(absl::Time now) {
  const int64_t bytes = ResidentBytes();
  const bool has_grown = bytes - seen_bytes_ >= kGrowthBytes;
  if (has_grown || bytes < seen_bytes_) seen_bytes_ = bytes;
  if (!has_grown && now >= alert_until_) return;
  const auto found = WithTooManyStreams(OpenConnections(), options_);
  if (found.empty()) return;
  alert_until_ = now + RefusedHosts::kLongestRefusal;
  acceptor_.Refuse(PeersOf(found));
  Close("too_many_streams", Refusal::kStreams, found);
}

void ConnectionGuard::LookAtBodies(absl::Time now) {
  if (now - looked_at_bodies_ < options_.body_timeout / kLooks) return;
  looked_at_bodies_ = now;
  Close("request_stalled", Refusal::kStalled, FindStalled());
  if (const int num_streams = streams_.EndStalled(now); num_streams > 0) {
    CountRefusal(Refusal::kStalled, num_streams);
    LogEvent(LogLevel::kWarning, "stream_stalled",
             {{"streams", int64_t{num_streams}}});
  }
}

void ConnectionGuard::LookAtFrames(absl::Time now) {
  if (now - looked_at_frames_ < frames_interval_) return;
  const absl::Duration computed = ProcessorTime();
  const bool is_busy =
      computed - computed_ >= kBusyCores * (now - looked_at_frames_);
  computed_ = computed;
  looked_at_frames_ = now;
  if (!is_busy) return;
  const auto found = frames_.Find(OpenConnections(), acceptor_.ReceivedBytes());
  if (!found.empty()) acceptor_.Refuse(PeersOf(found));
  Close("frames_without_calls", Refusal::kStreams, found);
  frames_interval_ = std::max(kFramesInterval, 10 * (absl::Now() - now));
}

void ConnectionGuard::Run() {
  absl::Duration pause = kInterval;
  while (!stopped_.WaitForNotificationWithTimeout(pause)) {
    const absl::Time start = absl::Now();
    LookAtStreams(start);
    LookAtBodies(start);
    LookAtFrames(start);
    // Many connections must not take a whole core.
    pause = std::max(kInterval, absl::Now() - start);
  }
}

}  // namespace actserve
