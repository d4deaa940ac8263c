#include "server/connections/connection_guard.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "server/observe/log.h"
#include "server/observe/resident_bytes.h"

namespace actserve {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(100);
// Growth of the process that is worth a look: 2,000 streams.
constexpr int64_t kGrowthBytes = int64_t{32} << 20;
// Looks for stalled bodies in the time that one may take.
constexpr int kLooks = 4;

}  // namespace

std::vector<OpenConnection> ConnectionGuard::WithTooManyStreams(
    std::vector<OpenConnection> connections, const Options& options) {
  std::ranges::sort(connections, std::greater(), &OpenConnection::num_streams);
  int64_t num_streams = 0;
  for (const OpenConnection& each : connections) {
    num_streams += each.num_streams();
  }
  size_t num_closed = 0;
  while (num_closed < connections.size() &&
         (connections[num_closed].num_streams() > options.max_streams ||
          num_streams > options.max_bytes / kStreamBytes)) {
    num_streams -= connections[num_closed++].num_streams();
  }
  connections.resize(num_closed);
  return connections;
}

ConnectionGuard::ConnectionGuard(const Options& options,
                                 StalledBodies::Received received, Close close)
    : options_(options),
      received_(std::move(received)),
      close_(std::move(close)),
      thread_([this] { Run(); }) {}

ConnectionGuard::~ConnectionGuard() {
  stopped_.Notify();
  thread_.join();
}

void ConnectionGuard::CloseAll(
    const char* event, const std::vector<OpenConnection>& connections) const {
  for (const OpenConnection& each : connections) {
    LogEvent(LogLevel::kWarning, event, {{"streams", each.num_streams()}});
    close_(each);
  }
}

void ConnectionGuard::Run() {
  StalledBodies bodies(options_.body_timeout);
  const absl::Duration bodies_interval = options_.body_timeout / kLooks;
  absl::Time looked_at_bodies = absl::Now();
  int64_t seen_bytes = ResidentBytes();
  while (!stopped_.WaitForNotificationWithTimeout(kInterval)) {
    const int64_t bytes = ResidentBytes();
    const bool has_grown = bytes - seen_bytes >= kGrowthBytes;
    if (has_grown || bytes < seen_bytes) seen_bytes = bytes;
    if (has_grown) {
      CloseAll("too_many_streams",
               WithTooManyStreams(OpenConnections(), options_));
    }
    const absl::Time now = absl::Now();
    if (now - looked_at_bodies >= bodies_interval) {
      looked_at_bodies = now;
      CloseAll("request_stalled",
               bodies.Find(OpenConnections(), received_, now));
    }
  }
}

}  // namespace actserve
