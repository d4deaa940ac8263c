#ifndef ACTSERVE_SERVER_OPTIONS_H_
#define ACTSERVE_SERVER_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/engine/device_makers.h"
#include "server/engine/engine_options.h"
#include "server/identity/authenticator.h"
#include "server/listen/unix_users.h"
#include "server/tls/certificates.h"

namespace actserve {

// Everything about a server that an operator may choose. Each field is a flag
// of actserved; flags.cc explains it to the operator.
struct Options : EngineOptions, DeviceOptions {
  // Each is host:port; port 0 picks a free port.
  std::vector<std::string> listen;
  // Path of the unix socket; empty: none. A missing directory is made with mode
  // 0700.
  std::string unix_socket;
  UnixUsers unix_users;
  // True to share memory with clients on this host: beside the unix socket is
  // then a control socket (proto/shared_memory/control.h).
  bool shared_memory = true;
  // Limits on those clients, and on the bytes that they share; 0 bytes: as
  // max_memory_bytes.
  int max_shared_memory_clients = 64;
  int64_t max_shared_memory_bytes = 0;
  // True to take memory of the GPU from them too.
  bool shared_device_memory = true;
  // TLS on every address of `listen`; the unix socket stays plain.
  TlsFiles tls;
  // Who may call. Without tokens and client certificates everyone may, and
  // there are no tenants.
  Authenticator::Options identity;
  bool identifies_callers() const {
    return !identity.tokens.empty() || !tls.client_ca.empty();
  }
  // True to allow addresses of `listen` beyond loopback without TLS.
  bool insecure = false;
  // Limit on the open connections.
  int max_connections = 10'000;
  // Limit on the calls of one connection at a time.
  int max_streams = 1000;
  // A connection is closed on which a request stops to arrive for so long.
  absl::Duration body_timeout = absl::Minutes(1);
  // A connection of this age, give or take a tenth, takes no more calls; those
  // that run may take `max_connection_age_grace`. Zero: it may grow old.
  absl::Duration max_connection_age = absl::ZeroDuration();
  absl::Duration max_connection_age_grace = absl::Minutes(1);
  // File for the bound addresses, one a line; empty: none.
  std::string port_file;
  // host:port of the metrics; port 0 picks a free port. Empty: none.
  std::string metrics;
  bool reflection = false;
  // True to serve KServe v2 too, and in it to use POSIX shared memory that
  // clients of this machine register.
  bool kserve = false;
  bool kserve_shared_memory = false;
  std::string log_level = "info";
  // Calls that take longer are logged; zero: none.
  absl::Duration slow_request = absl::ZeroDuration();
  // True to log every call.
  bool access_log = false;
  // host:port of an OpenTelemetry collector that takes OTLP over gRPC, without
  // TLS; empty: no traces.
  std::string otlp_endpoint;
  // Of the traces that begin here, how many are recorded: 0 to 1.
  double trace_sample_ratio = 0.01;

  // Limit on the registrations that wait, and likewise on the calls of
  // GetActivation and ListActivations.
  int max_queued_control_calls = 256;

  // Time between NOT_SERVING and the refusal of new calls, for load balancers
  // to notice.
  absl::Duration drain_delay = absl::ZeroDuration();
  // Time that running calls get after the refusal; then they are cancelled.
  absl::Duration drain_timeout = absl::Seconds(20);
};

// Returns InvalidArgument with the first field that is out of its range, its
// value and the range.
absl::Status Validate(const Options& options);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_OPTIONS_H_
