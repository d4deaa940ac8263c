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
#include "server/connections/frames_without_calls.h"
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
  absl::flat_hash_map<std::string, int64_t> streams_of_peer;
  int64_t num_streams = 0;
  for (const OpenConnection& each : connections) {
    num_streams += each.num_streams();
    streams_of_peer[each.peer.address] += each.num_streams();
  }
  const auto has_too_many = [&](const OpenConnection& each) {
    return each.num_streams() > options.max_streams;
  };
  std::ranges::sort(connections, std::greater(), [&](const auto& each) {
    return std::tuple(has_too_many(each), streams_of_peer[each.peer.address],
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

ConnectionGuard::ConnectionGuard(const Options& options, Acceptor* acceptor)
    : options_(options), acceptor_(*acceptor), thread_([this] { Run(); }) {}

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

std::vector<OpenConnection> ConnectionGuard::FindStalled(
    StalledBodies& bodies) const {
  std::optional<absl::flat_hash_map<Peer, int64_t>> bytes;
  return bodies.Find(
      OpenConnections(),
      [&](const OpenConnection& connection) -> std::optional<int64_t> {
        if (connection.peer.address.empty()) return std::nullopt;
        if (!bytes) bytes = acceptor_.ReceivedBytes();
        const auto found = bytes->find(connection.peer);
        return found != bytes->end() ? found->second : 0;
      },
      absl::Now());
}

void ConnectionGuard::Run() {
  StalledBodies bodies(options_.body_timeout);
  const absl::Duration bodies_interval = options_.body_timeout / kLooks;
  absl::Time looked_at_bodies = absl::Now();
  int64_t seen_bytes = ResidentBytes();
  // Memory that a burst has left lets the next one pass without growth.
  absl::Time alert_until = absl::InfinitePast();
  FramesWithoutCalls frames;
  absl::Time looked_at_frames = absl::Now();
  absl::Duration computed = ProcessorTime();
  absl::Duration frames_interval = kFramesInterval;
  absl::Duration pause = kInterval;
  while (!stopped_.WaitForNotificationWithTimeout(pause)) {
    const absl::Time start = absl::Now();
    const int64_t bytes = ResidentBytes();
    const bool has_grown = bytes - seen_bytes >= kGrowthBytes;
    if (has_grown || bytes < seen_bytes) seen_bytes = bytes;
    if (has_grown || start < alert_until) {
      const auto closed = WithTooManyStreams(OpenConnections(), options_);
      if (!closed.empty()) {
        alert_until = start + RefusedHosts::kLongestRefusal;
        acceptor_.Refuse(PeersOf(closed));
      }
      Close("too_many_streams", Refusal::kStreams, closed);
    }
    if (start - looked_at_bodies >= bodies_interval) {
      looked_at_bodies = start;
      Close("request_stalled", Refusal::kStalled, FindStalled(bodies));
    }
    if (start - looked_at_frames >= frames_interval) {
      const absl::Duration now_computed = ProcessorTime();
      if (now_computed - computed >= kBusyCores * (start - looked_at_frames)) {
        const auto found =
            frames.Find(OpenConnections(), acceptor_.ReceivedBytes());
        if (!found.empty()) acceptor_.Refuse(PeersOf(found));
        Close("frames_without_calls", Refusal::kStreams, found);
        frames_interval = std::max(kFramesInterval, 10 * (absl::Now() - start));
      }
      computed = now_computed;
      looked_at_frames = start;
    }
    // Many connections must not take a whole core.
    pause = std::max(kInterval, absl::Now() - start);
  }
}

}  // namespace actserve
