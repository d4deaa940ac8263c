#include "server/options.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <climits>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/base/status_macros.h"
#include "server/engine/device_choice.h"

namespace actserve {
namespace {

// A program key has one bit for each input and parameter.
constexpr int kMaxNames = 64;

struct Range {
  absl::string_view flag;
  int64_t value;
  int64_t min;
  int64_t max;
};

struct DurationRange {
  absl::string_view flag;
  absl::Duration value;
  absl::Duration min;
  absl::Duration max;
};

absl::Status CheckNumbers(const Options& o) {
  constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
  const LanguageLimits& language = o.registry.language;
  const BatchQueue::Limits& queue = o.scheduler.queue;
  const Range ranges[] = {
      {"max_connections", o.max_connections, 16, 1 << 20},
      {"max_streams", o.max_streams, 1, 1 << 20},
      {"max_shared_memory_clients", o.max_shared_memory_clients, 1, 1024},
      {"max_shared_memory_bytes", o.max_shared_memory_bytes, 0,
       int64_t{1} << 50},
      // Twice the largest result fits into its half, and one message into what
      // is not left to those that arrive.
      {"max_memory_bytes", o.max_memory_bytes, 4 * o.max_message_bytes, kAny},
      {"max_message_bytes", o.max_message_bytes, 64 << 10, INT_MAX},
      {"max_metadata_bytes", o.max_metadata_bytes, 1 << 10, 16 << 20},
      {"max_rank", o.tensor.rank, 0, 1024},
      {"max_elements", o.tensor.elements, 1, int64_t{1} << 40},
      {"max_source_bytes", language.source_bytes, 1, 1 << 20},
      {"max_depth", language.depth, 1, 1000},
      {"max_parameters", language.parameters, 0, kMaxNames / 2},
      {"max_inputs", language.inputs, 1, kMaxNames / 2},
      {"max_program_weight", language.weight, 1, 1 << 20},
      {"max_interleaved_weight", language.interleaved_weight, 0, 1 << 20},
      {"max_registered", o.registry.max_registered, 0, 1 << 20},
      {"max_registered_bytes", o.registry.max_registered_bytes, 0, kAny},
      {"max_plans", o.plans.max_plans, 0, 1 << 20},
      {"max_programs", o.programs.max_programs, 1, 1 << 20},
      {"max_waiting_for_programs", o.programs.max_waiting, 1, 1 << 20},
      {"compute_threads", o.scheduler.num_threads, 1, 1024},
      {"max_running_batches", o.max_running_batches, 0, 1024},
      {"inline_bytes", o.scheduler.inline_bytes, -1, 1 << 30},
      {"max_queued", queue.max_queued, 1, 1 << 20},
      {"max_queued_bytes", queue.max_queued_bytes, 1, kAny},
      {"max_batch_requests", queue.max_batch_jobs, 1, 1 << 20},
      {"max_batch_elements", queue.max_batch_elements, 1, kAny},
      {"max_batch_bytes", queue.max_batch_bytes, 1, kAny},
      {"max_residual_bytes", o.residuals.max_bytes, 0, kAny},
      {"max_residuals", o.residuals.max_count, 0, 1 << 26},
      {"max_idle_buffer_bytes", o.max_idle_buffer_bytes, 0, kAny},
      {"device_threads", o.device_threads, 0, 1024},
      {"device_memory_bytes", o.device_memory_bytes, 0, kAny},
      {"compile_threads", o.compile_threads, 1, 64},
      {"max_queued_compilations", o.max_queued_compilations, 1, 1 << 20},
      {"max_queued_control_calls", o.max_queued_control_calls, 1, 1 << 20},
      {"max_compile_seconds_per_minute",
       absl::ToInt64Seconds(o.programs.compile_time_per_minute), 1, 64 * 60},
  };
  for (const Range& range : ranges) {
    if (range.value < range.min || range.value > range.max) {
      return InvalidArgument(range.flag, ": ", range.value, " is not in ",
                             range.min, " .. ", range.max);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDurations(const Options& o) {
  const absl::Duration tick = absl::Milliseconds(1);
  const absl::Duration day = absl::Hours(24);
  const absl::Duration zero = absl::ZeroDuration();
  const DurationRange ranges[] = {
      {"max_residual_lease", o.max_residual_lease, tick, day},
      {"default_residual_lease", o.default_residual_lease, tick,
       o.max_residual_lease},
      {"spent_residual_grace", o.residuals.spent_grace, zero, day},
      {"device_watchdog", o.device_watchdog, tick, day},
      {"slow_request", o.slow_request, zero, day},
      {"batch_delay", o.scheduler.queue.delay, zero, absl::Seconds(10)},
      {"body_timeout", o.body_timeout, absl::Seconds(1), day},
      {"max_connection_age", o.max_connection_age, zero, day},
      {"max_connection_age_grace", o.max_connection_age_grace, tick, day},
      {"drain_delay", o.drain_delay, zero, day},
      {"drain_timeout", o.drain_timeout, zero, day},
  };
  for (const DurationRange& range : ranges) {
    if (range.value < range.min || range.value > range.max) {
      return InvalidArgument(range.flag, ": ",
                             absl::FormatDuration(range.value), " is not in ",
                             absl::FormatDuration(range.min), " .. ",
                             absl::FormatDuration(range.max));
    }
  }
  return absl::OkStatus();
}

// Returns whether an address of --listen, host:port, is of this machine alone.
bool IsLoopback(const std::string& address) {
  std::string host = address.substr(0, address.rfind(':'));
  if (host == "localhost") return true;
  in_addr v4 = {};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
  }
  if (host.size() > 2 && host.front() == '[') {
    host = host.substr(1, host.size() - 2);
  }
  in6_addr v6 = {};
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 &&
         IN6_IS_ADDR_LOOPBACK(&v6);
}

absl::Status CheckEncryption(const Options& options) {
  const TlsFiles& tls = options.tls;
  if (tls.cert.empty() != tls.key.empty()) {
    return InvalidArgument("tls_cert and tls_key: only one of them is given");
  }
  if (!tls.client_ca.empty() && !tls.enabled()) {
    return InvalidArgument("tls_client_ca: given without tls_cert");
  }
  if (tls.enabled() || options.insecure) return absl::OkStatus();
  for (const std::string& address : options.listen) {
    if (IsLoopback(address)) continue;
    return InvalidArgument(
        "listen: ", address,
        " is reachable from other machines: give --tls_cert and --tls_key, or "
        "--insecure if a proxy in front or a network of your own protects it");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Validate(const Options& options) {
  ACTSERVE_RETURN_IF_ERROR(CheckNumbers(options));
  ACTSERVE_RETURN_IF_ERROR(CheckDurations(options));
  ACTSERVE_RETURN_IF_ERROR(ValidateDevice(options.device));
  if (options.listen.empty() && options.unix_socket.empty()) {
    return InvalidArgument("listen: no address, and no unix_socket either");
  }
  if (options.kserve_shared_memory && !options.kserve) {
    return InvalidArgument("kserve_shared_memory: given without kserve");
  }
  // Not of the form "!(a < b)", so that NaN is refused too.
  const double ratio = options.trace_sample_ratio;
  if (!(ratio >= 0 && ratio <= 1)) {
    return InvalidArgument("trace_sample_ratio: ", ratio, " is not in 0 .. 1");
  }
  const std::string& endpoint = options.otlp_endpoint;
  if (!endpoint.empty() && endpoint.find(':') == std::string::npos) {
    return InvalidArgument("otlp_endpoint: ", endpoint, " is not host:port");
  }
  for (const std::string& address : options.listen) {
    if (address.find(':') == std::string::npos) {
      return InvalidArgument("listen: ", address, " is not host:port");
    }
  }
  return CheckEncryption(options);
}

}  // namespace actserve
