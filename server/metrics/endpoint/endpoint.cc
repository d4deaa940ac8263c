#include "server/metrics/endpoint/endpoint.h"

#include <fcntl.h>
#include <microhttpd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "kernels/base/status_macros.h"
#include "prometheus/text_serializer.h"
#include "server/listen/listening_socket.h"

namespace actserve {
namespace {

constexpr const char* kPath = "/metrics";
// Of a connection: it bounds the headers of a request.
constexpr size_t kConnectionBytes = size_t{16} << 10;

MHD_Result Answer(MHD_Connection* connection, unsigned int code,
                  const char* content_type, const std::string& body) {
  // It copies a body that it must not change.
  MHD_Response* const response = MHD_create_response_from_buffer(
      body.size(), const_cast<char*>(body.data()), MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
  // A scrape comes every few seconds, and others want the connection.
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
  const MHD_Result result = MHD_queue_response(connection, code, response);
  MHD_destroy_response(response);
  return result;
}

// Called with the headers of each request. An answer at this point ends it: a
// body is not read.
MHD_Result Handle(void* metrics, MHD_Connection* connection, const char* url,
                  const char* method, const char* /*version*/,
                  const char* /*body*/, size_t* /*body_bytes*/,
                  void** /*state*/) {
  constexpr const char* kText = "text/plain; charset=utf-8";
  if (absl::string_view(url) != kPath) {
    return Answer(connection, MHD_HTTP_NOT_FOUND, kText,
                  absl::StrCat("metrics are at ", kPath, "\n"));
  }
  if (absl::string_view(method) != MHD_HTTP_METHOD_GET) {
    return Answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, kText, "use GET\n");
  }
  const auto& collectable = *static_cast<prometheus::Collectable*>(metrics);
  return Answer(connection, MHD_HTTP_OK,
                "text/plain; version=0.0.4; charset=utf-8",
                prometheus::TextSerializer().Serialize(collectable.Collect()));
}

}  // namespace

// Shuts down the sockets of connections that grow too old, which the library
// then closes. The library itself ends only those on which nothing happens, and
// a client that sends a byte now and then would keep its place.
class MetricsEndpoint::OldConnections {
 public:
  OldConnections() : thread_([this] { Work(); }) {}
  ~OldConnections() {
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
    }
    thread_.join();
  }

  // Also those that begin from now on, within a tick.
  void CloseAll() {
    absl::MutexLock lock(&mu_);
    max_age_ = absl::ZeroDuration();
    for (const auto& [fd, begin] : begins_) shutdown(fd, SHUT_RDWR);
  }

  // The library's callback, before a socket is used and before it is closed.
  static void Notify(void* self, MHD_Connection* connection, void** /*state*/,
                     MHD_ConnectionNotificationCode code) {
    const int fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
            ->connect_fd;
    auto& connections = *static_cast<OldConnections*>(self);
    absl::MutexLock lock(&connections.mu_);
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
      connections.begins_[fd] = absl::Now();
    } else {
      connections.begins_.erase(fd);
    }
  }

 private:
  static constexpr absl::Duration kTick = absl::Milliseconds(250);

  void Work() {
    absl::MutexLock lock(&mu_);
    while (!mu_.AwaitWithTimeout(absl::Condition(&stopping_), kTick)) {
      const absl::Time oldest = absl::Now() - max_age_;
      for (const auto& [fd, begin] : begins_) {
        if (begin < oldest) shutdown(fd, SHUT_RDWR);
      }
    }
  }

  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::Duration max_age_ ABSL_GUARDED_BY(mu_) = absl::Seconds(kMaxAgeSeconds);
  absl::flat_hash_map<int, absl::Time> begins_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

MetricsEndpoint::MetricsEndpoint(
    std::unique_ptr<prometheus::Collectable> metrics)
    : metrics_(std::move(metrics)),
      old_connections_(std::make_unique<OldConnections>()) {}

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Start(
    const std::string& address,
    std::unique_ptr<prometheus::Collectable> metrics) {
  ACTSERVE_ASSIGN_OR_RETURN(const std::vector<ListeningSocket> sockets,
                            ListeningSocket::OpenTcp(address, "metrics"));
  std::unique_ptr<MetricsEndpoint> endpoint(
      new MetricsEndpoint(std::move(metrics)));
  endpoint->address_ = absl::StrCat(address.substr(0, address.rfind(':') + 1),
                                    sockets[0].port());
  for (const ListeningSocket& socket : sockets) {
    const int fd = fcntl(socket.fd(), F_DUPFD_CLOEXEC, 0);
    MHD_Daemon* const daemon =
        fd < 0 ? nullptr
               : MHD_start_daemon(
                     MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, 0, nullptr,
                     nullptr, &Handle, endpoint->metrics_.get(),
                     MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                     static_cast<unsigned int>(kMaxConnections),
                     MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                     static_cast<unsigned int>(kMaxConnections / 2),
                     MHD_OPTION_CONNECTION_TIMEOUT,
                     static_cast<unsigned int>(kTimeoutSeconds),
                     MHD_OPTION_NOTIFY_CONNECTION, &OldConnections::Notify,
                     endpoint->old_connections_.get(),
                     MHD_OPTION_CONNECTION_MEMORY_LIMIT, kConnectionBytes,
                     MHD_OPTION_END);
    if (daemon == nullptr) {
      const int error = errno;
      if (fd >= 0) close(fd);
      return absl::UnavailableError(absl::StrCat(
          "metrics: cannot serve ", address, ": ", std::strerror(error)));
    }
    endpoint->daemons_.push_back(daemon);
  }
  return endpoint;
}

MetricsEndpoint::~MetricsEndpoint() {
  // The library waits for connections that somebody keeps open.
  old_connections_->CloseAll();
  for (MHD_Daemon* daemon : daemons_) MHD_stop_daemon(daemon);
}

}  // namespace actserve
