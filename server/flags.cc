#include "server/flags.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "kernels/base/status_macros.h"
#include "kernels/device/object_cache.h"
#include "proto/default_address.h"
#include "server/config/build_info.h"

namespace {

// Every default that is a number lives in Options.
const actserve::Options& Defaults() {
  static const auto* const defaults = new actserve::Options;
  return *defaults;
}

int HardwareThreads() {
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// The memory of the machine, or of the container if that is less.
int64_t MemoryBytes() {
  const int64_t machine =
      int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  std::ifstream file("/sys/fs/cgroup/memory.max");
  int64_t container = 0;
  return file >> container && container > 0 ? std::min(machine, container)
                                            : machine;
}

int64_t DefaultMemoryBytes() {
  return std::clamp(MemoryBytes() / 2, 4 * Defaults().max_message_bytes,
                    Defaults().max_memory_bytes);
}

}  // namespace

ABSL_FLAG(std::vector<std::string>, listen, {actserve::kDefaultTcpAddress},
          "comma-separated host:port to listen on; port 0 picks a free port. "
          "Beyond loopback the server starts only with --tls_cert or "
          "--insecure");
ABSL_FLAG(std::string, unix_socket, actserve::DefaultSocketPath(),
          "path of a unix socket to listen on as well; clients on this host "
          "find the default path by themselves. Empty: none");
ABSL_FLAG(std::vector<std::string>, unix_uids, {},
          "comma-separated numbers of the users who may connect to the unix "
          "socket, beside the server's own user and root");
ABSL_FLAG(std::vector<std::string>, unix_gids, {},
          "comma-separated numbers of the groups whose members may connect to "
          "the unix socket as well");
ABSL_FLAG(bool, shared_memory, true,
          "share memory with clients over the unix socket: their tensors are "
          "then read and written where they lie, and small calls need no "
          "system call. Adds a socket beside --unix_socket, named .shm");
ABSL_FLAG(int, max_shared_memory_clients, 64,
          "limit on the clients that share memory, each of which has a thread; "
          "further ones send their tensors");
ABSL_FLAG(int64_t, max_shared_memory_bytes, 0,
          "limit on the memory that clients share; it is theirs, but counts as "
          "resident here too. One client leaves a fifth to others. 0: as "
          "--max_memory_bytes");
ABSL_FLAG(bool, shared_device_memory, true,
          "with --shared_memory on a GPU: take tensors in its memory from "
          "clients too, by CUDA IPC. A client that frees them too early can "
          "lose the GPU for all");
ABSL_FLAG(std::string, tls_cert, "",
          "PEM file with the server's certificate and those between it and a "
          "root that clients know; it turns on TLS for --listen. Read again "
          "when it changes, with the two below, and on SIGHUP");
ABSL_FLAG(std::string, tls_key, "",
          "PEM file with the private key of --tls_cert");
ABSL_FLAG(std::string, tls_client_ca, "",
          "PEM file with the authorities that sign certificates of clients; "
          "without such a certificate nobody connects. Empty: clients need "
          "none");
ABSL_FLAG(std::string, tokens, "",
          "JSON file with the tenants, their quotas, and the tokens that calls "
          "must bring; docs/security.md tells its form, and actctl token new "
          "makes tokens. Read again when it changes and on SIGHUP. Empty: "
          "calls need none");
ABSL_FLAG(bool, health_without_token,
          !Defaults().identity.health_needs_identity,
          "answer the health service without a token or client certificate");
ABSL_FLAG(bool, insecure, Defaults().insecure,
          "allow --listen beyond loopback without TLS: for a proxy in front, "
          "or a network of your own");
ABSL_FLAG(int, max_connections, Defaults().max_connections,
          "limit on the open connections; further ones are closed at once. "
          "Fewer if the process may not open as many files");
ABSL_FLAG(int, max_streams, Defaults().max_streams,
          "limit on the calls of one connection at a time; clients queue "
          "further ones");
ABSL_FLAG(absl::Duration, body_timeout, Defaults().body_timeout,
          "a connection is closed if a request on it stops to arrive for so "
          "long");
ABSL_FLAG(
    absl::Duration, max_connection_age, Defaults().max_connection_age,
    "a connection of this age, give or take a tenth, takes no more calls, "
    "and its client makes a new one: so clients that balance find new "
    "servers. 0: it may grow old");
ABSL_FLAG(absl::Duration, max_connection_age_grace,
          Defaults().max_connection_age_grace,
          "how long the running calls of such a connection may take before it "
          "is closed");
ABSL_FLAG(int64_t, max_memory_bytes, DefaultMemoryBytes(),
          "limit on the memory that calls hold, from the first byte of a "
          "request until its answer is sent, and on that of residuals: half "
          "for requests, half for results. The default is 4 GiB, or half of "
          "the memory that the process may use if that is less");
ABSL_FLAG(std::string, port_file, "",
          "file to which the addresses are written, one a line, once the "
          "server listens. Empty: none");
ABSL_FLAG(std::string, metrics, "",
          "host:port where Prometheus finds metrics, at /metrics; port 0 picks "
          "a free port. Not encrypted; metrics hold no names, texts or "
          "tensors. Empty: none");
ABSL_FLAG(bool, reflection, Defaults().reflection,
          "serve gRPC reflection, so that tools can list the methods");
ABSL_FLAG(bool, kserve, Defaults().kserve,
          "serve KServe v2 (inference.GRPCInferenceService) at the same "
          "addresses, for Triton's clients and tools");
ABSL_FLAG(bool, kserve_shared_memory, Defaults().kserve_shared_memory,
          "with --kserve: read and write POSIX shared memory of the server's "
          "own user that clients on this host register by name");
ABSL_FLAG(std::string, log_level, Defaults().log_level,
          "least severe level to log: debug (every request), info, warning "
          "or error. The log is JSON on stderr, one event a line");
ABSL_FLAG(bool, access_log, Defaults().access_log,
          "log every call, at level info: at most 1000 lines a second, and how "
          "many were left out");
ABSL_FLAG(absl::Duration, slow_request, Defaults().slow_request,
          "log calls that take longer, at level warning: at most 10 lines a "
          "second, and how many were left out. 0: none");
ABSL_FLAG(std::string, otlp_endpoint, "",
          "host:port of an OpenTelemetry collector that takes traces over OTLP "
          "with gRPC, without TLS. Empty: no traces");
ABSL_FLAG(double, trace_sample_ratio, Defaults().trace_sample_ratio,
          "share of the traces that begin here that are recorded, 0 to 1; a "
          "caller's trace is recorded if the caller records it");
ABSL_FLAG(std::string, config, "",
          "file that sets flags, one a line: name = value. The environment "
          "sets them as well: ACTSERVE_MAX_RANK=4. The command line wins over "
          "the environment, which wins over the file. Empty: none");
ABSL_FLAG(bool, check, false,
          "check the configuration and the files that it names, print it, and "
          "end: with code 0 if a server would start with it");

ABSL_FLAG(int64_t, max_message_bytes, Defaults().max_message_bytes,
          "limit on the bytes of a request or a response, tensors included");
ABSL_FLAG(int64_t, max_metadata_bytes, Defaults().max_metadata_bytes,
          "limit on the bytes of a request, tensors excluded");
ABSL_FLAG(int, max_rank, Defaults().tensor.rank,
          "limit on the dimensions of a tensor");
ABSL_FLAG(int64_t, max_elements, Defaults().tensor.elements,
          "limit on the elements of a tensor");

ABSL_FLAG(int64_t, max_source_bytes, Defaults().registry.language.source_bytes,
          "limit on the bytes of an activation's text");
ABSL_FLAG(int, max_depth, Defaults().registry.language.depth,
          "limit on the nesting of an activation's text");
ABSL_FLAG(int, max_parameters, Defaults().registry.language.parameters,
          "limit on the parameters of an activation");
ABSL_FLAG(int, max_inputs, Defaults().registry.language.inputs,
          "limit on the tensor inputs of an activation");
ABSL_FLAG(int64_t, max_program_weight, Defaults().registry.language.weight,
          "limit on the expanded operations of a program; it bounds the time "
          "to compile one");
ABSL_FLAG(int64_t, max_interleaved_weight,
          Defaults().registry.language.interleaved_weight,
          "up to this many expanded operations a program is compiled for the "
          "most speed; larger ones compile faster and run slower");
ABSL_FLAG(int, max_registered, Defaults().registry.max_registered,
          "limit on the registered activations; beyond it the least recently "
          "used one is forgotten, and its client registers it again");
ABSL_FLAG(int64_t, max_registered_bytes,
          Defaults().registry.max_registered_bytes,
          "limit on the memory of the registered activations: their texts and "
          "graphs; beyond it they are forgotten likewise");

ABSL_FLAG(int, max_plans, Defaults().plans.max_plans,
          "limit on the decoded metadata kept of Forward requests, and "
          "likewise of Backward requests");
ABSL_FLAG(int, max_programs, Defaults().programs.max_programs,
          "limit on the compiled programs kept in memory");
ABSL_FLAG(int, max_waiting_for_programs, Defaults().programs.max_waiting,
          "limit on the requests that wait for a compilation; beyond it the "
          "server answers RESOURCE_EXHAUSTED to the caller with the most of "
          "them");
ABSL_FLAG(std::string, device, Defaults().device,
          "device that computes: cpu; cuda:N, the GPU of that number; or auto, "
          "the first GPU if it is usable and the CPU otherwise. The log and "
          "GetServerInfo name the device and the reason");
ABSL_FLAG(int, compute_threads, HardwareThreads(),
          "threads that run batches on the device and hand out the results; "
          "requests within --inline_bytes do not need them");
ABSL_FLAG(int, max_running_batches, Defaults().max_running_batches,
          "batches running at once; further requests wait and form larger "
          "batches. 0: --compute_threads on the CPU, 3 on a GPU");
ABSL_FLAG(int, device_threads, Defaults().device_threads,
          "threads of the CPU device that share one large tensor; 0: one for "
          "each hardware thread");
ABSL_FLAG(int64_t, device_memory_bytes, Defaults().device_memory_bytes,
          "limit on the GPU memory for tensors and tables; 0: nine tenths of "
          "the memory that is free at the start");
ABSL_FLAG(absl::Duration, device_watchdog, Defaults().device_watchdog,
          "how long GPU work may run before its kernel counts as hung and the "
          "GPU as lost");
ABSL_FLAG(int64_t, inline_bytes, Defaults().scheduler.inline_bytes,
          "on the CPU, requests of at most this many bytes of tensors are "
          "computed on the thread that received them; -1: none");
ABSL_FLAG(int, max_queued, Defaults().scheduler.queue.max_queued,
          "limit on the requests that wait for the device; beyond it the "
          "server answers RESOURCE_EXHAUSTED to the caller with the most "
          "waiting requests");
ABSL_FLAG(int64_t, max_queued_bytes,
          Defaults().scheduler.queue.max_queued_bytes,
          "limit on the tensor bytes that wait for the device");
ABSL_FLAG(int, max_batch_requests, Defaults().scheduler.queue.max_batch_jobs,
          "limit on the requests in a batch; 1: no batches");
ABSL_FLAG(int64_t, max_batch_elements,
          Defaults().scheduler.queue.max_batch_elements,
          "limit on the elements in a batch; a larger request runs alone");
ABSL_FLAG(int64_t, max_batch_bytes, Defaults().scheduler.queue.max_batch_bytes,
          "limit on the tensor bytes in a batch; a larger request runs alone");
ABSL_FLAG(absl::Duration, batch_delay, Defaults().scheduler.queue.delay,
          "how long a queued request waits for others of its program while "
          "the device is idle. 0: a batch holds the requests that arrived "
          "while the device was busy");
ABSL_FLAG(int, compile_threads, Defaults().compile_threads,
          "threads that compile programs");
ABSL_FLAG(int, max_queued_compilations, Defaults().max_queued_compilations,
          "limit on the programs that wait for a compile thread; beyond it the "
          "server answers RESOURCE_EXHAUSTED to the caller with the most of "
          "them");
ABSL_FLAG(int, max_compile_seconds_per_minute,
          static_cast<int>(absl::ToInt64Seconds(
              Defaults().programs.compile_time_per_minute)),
          "seconds of a compile thread that one caller may use in a minute, on "
          "average over five minutes; beyond it the server answers "
          "RESOURCE_EXHAUSTED for programs that are not compiled yet. Behind a "
          "proxy all clients are one caller");
ABSL_FLAG(int, max_queued_control_calls, Defaults().max_queued_control_calls,
          "limit on the calls of RegisterActivation that wait, and likewise on "
          "those of GetActivation and ListActivations; beyond it the server "
          "answers RESOURCE_EXHAUSTED to the caller with the most of them");
ABSL_FLAG(std::string, cache_directory, "",
          "directory that keeps compiled programs across restarts, made with "
          "mode 0700. none: no cache. Empty: $XDG_CACHE_HOME/actserve/programs "
          "or $HOME/.cache/actserve/programs, if usable");
ABSL_FLAG(std::string, pack, "",
          "file of precompiled GPU programs, written by actctl precompile "
          "--pack; its programs need no NVRTC. none: no pack. Empty: "
          "../share/actserve/builtins.sass beside this program, if it exists");
ABSL_FLAG(int64_t, max_idle_buffer_bytes, Defaults().max_idle_buffer_bytes,
          "limit on the memory of past results that is kept for new ones");

ABSL_FLAG(int64_t, max_residual_bytes, Defaults().residuals.max_bytes,
          "limit on the memory of all residuals. Those that a GPU does not "
          "hold get at most 3/16 of --max_memory_bytes");
ABSL_FLAG(int64_t, max_residuals, Defaults().residuals.max_count,
          "limit on the number of residuals");
ABSL_FLAG(absl::Duration, default_residual_lease,
          Defaults().default_residual_lease,
          "how long a residual is kept if its request names no lease");
ABSL_FLAG(absl::Duration, max_residual_lease, Defaults().max_residual_lease,
          "limit on the lease of a residual");
ABSL_FLAG(absl::Duration, spent_residual_grace,
          Defaults().residuals.spent_grace,
          "how long a residual is kept after its use, in case the client "
          "retries");

ABSL_FLAG(absl::Duration, drain_delay, Defaults().drain_delay,
          "how long calls are still accepted after SIGTERM, while health says "
          "NOT_SERVING, so that load balancers notice first");
ABSL_FLAG(absl::Duration, drain_timeout, Defaults().drain_timeout,
          "how long running calls may take after that before they are "
          "cancelled");

namespace actserve {
namespace {

constexpr absl::string_view kThisFile = "server/flags.cc";

// The path of the pack that is shipped with this program; "" if there is none.
std::string ShippedPack() {
  std::error_code error;
  const std::filesystem::path program =
      std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path pack =
      program.parent_path().parent_path() / "share/actserve/builtins.sass";
  return !error && std::filesystem::exists(pack, error) ? pack.string() : "";
}

void SetUsage() {
  absl::SetProgramUsageMessage(
      "Computes activation functions and their gradients over gRPC.\n"
      "SIGTERM or SIGINT stops it after the running calls; a second signal "
      "ends --drain_delay. SIGHUP makes it read again what may change while "
      "it runs.\n"
      "Exit codes: 0 after a signal; 1 if it cannot start; 69 if the device "
      "was lost, 71 if nobody can reach it any more; then start it again.");
  absl::FlagsUsageConfig config;
  config.version_string = [] { return BuildDescription(ShippedPack()); };
  // --help shows the flags of this file, wherever it was compiled, and not
  // those of the libraries.
  config.normalize_filename = [](absl::string_view file) {
    return std::string(absl::EndsWith(file, kThisFile) ? kThisFile : file);
  };
  config.contains_help_flags = [](absl::string_view file) {
    return file == kThisFile;
  };
  absl::SetFlagsUsageConfig(config);
}

// The numbers of users or groups, which `flag` lists.
template <typename Id>
absl::StatusOr<std::vector<Id>> IdsFrom(absl::string_view flag,
                                        const std::vector<std::string>& numbers,
                                        absl::string_view what) {
  std::vector<Id> ids;
  for (const std::string& number : numbers) {
    Id& id = ids.emplace_back();
    if (!absl::SimpleAtoi(number, &id)) {
      return InvalidArgument(flag, ": ", number, " is not the number of a ",
                             what);
    }
  }
  return ids;
}

absl::StatusOr<Options> OptionsFromFlags() {
  Options o;
  for (const std::string& address : absl::GetFlag(FLAGS_listen)) {
    o.listen.emplace_back(absl::StripAsciiWhitespace(address));
  }
  o.unix_socket = absl::GetFlag(FLAGS_unix_socket);
  ACTSERVE_ASSIGN_OR_RETURN(
      o.unix_users.uids,
      IdsFrom<uid_t>("unix_uids", absl::GetFlag(FLAGS_unix_uids), "user"));
  ACTSERVE_ASSIGN_OR_RETURN(
      o.unix_users.gids,
      IdsFrom<gid_t>("unix_gids", absl::GetFlag(FLAGS_unix_gids), "group"));
  o.shared_memory = absl::GetFlag(FLAGS_shared_memory);
  o.max_shared_memory_clients = absl::GetFlag(FLAGS_max_shared_memory_clients);
  o.max_shared_memory_bytes = absl::GetFlag(FLAGS_max_shared_memory_bytes);
  o.shared_device_memory = absl::GetFlag(FLAGS_shared_device_memory);
  o.tls = {.cert = absl::GetFlag(FLAGS_tls_cert),
           .key = absl::GetFlag(FLAGS_tls_key),
           .client_ca = absl::GetFlag(FLAGS_tls_client_ca)};
  o.identity = {
      .tokens = absl::GetFlag(FLAGS_tokens),
      .health_needs_identity = !absl::GetFlag(FLAGS_health_without_token)};
  o.insecure = absl::GetFlag(FLAGS_insecure);
  o.max_connections = absl::GetFlag(FLAGS_max_connections);
  o.max_streams = absl::GetFlag(FLAGS_max_streams);
  o.body_timeout = absl::GetFlag(FLAGS_body_timeout);
  o.max_connection_age = absl::GetFlag(FLAGS_max_connection_age);
  o.max_connection_age_grace = absl::GetFlag(FLAGS_max_connection_age_grace);
  o.max_memory_bytes = absl::GetFlag(FLAGS_max_memory_bytes);
  o.port_file = absl::GetFlag(FLAGS_port_file);
  o.metrics = absl::GetFlag(FLAGS_metrics);
  o.reflection = absl::GetFlag(FLAGS_reflection);
  o.kserve = absl::GetFlag(FLAGS_kserve);
  o.kserve_shared_memory = absl::GetFlag(FLAGS_kserve_shared_memory);
  o.log_level = absl::GetFlag(FLAGS_log_level);
  o.access_log = absl::GetFlag(FLAGS_access_log);
  o.slow_request = absl::GetFlag(FLAGS_slow_request);
  o.otlp_endpoint = absl::GetFlag(FLAGS_otlp_endpoint);
  o.trace_sample_ratio = absl::GetFlag(FLAGS_trace_sample_ratio);
  o.max_message_bytes = absl::GetFlag(FLAGS_max_message_bytes);
  o.max_metadata_bytes = absl::GetFlag(FLAGS_max_metadata_bytes);
  o.tensor.rank = absl::GetFlag(FLAGS_max_rank);
  o.tensor.elements = absl::GetFlag(FLAGS_max_elements);
  LanguageLimits& language = o.registry.language;
  language.source_bytes = absl::GetFlag(FLAGS_max_source_bytes);
  language.depth = absl::GetFlag(FLAGS_max_depth);
  language.parameters = absl::GetFlag(FLAGS_max_parameters);
  language.inputs = absl::GetFlag(FLAGS_max_inputs);
  language.weight = absl::GetFlag(FLAGS_max_program_weight);
  language.interleaved_weight = absl::GetFlag(FLAGS_max_interleaved_weight);
  o.registry.max_registered = absl::GetFlag(FLAGS_max_registered);
  o.registry.max_registered_bytes = absl::GetFlag(FLAGS_max_registered_bytes);
  o.plans.max_plans = absl::GetFlag(FLAGS_max_plans);
  o.programs.max_programs = absl::GetFlag(FLAGS_max_programs);
  o.programs.max_waiting = absl::GetFlag(FLAGS_max_waiting_for_programs);
  o.device = absl::GetFlag(FLAGS_device);
  o.scheduler.num_threads = absl::GetFlag(FLAGS_compute_threads);
  o.max_running_batches = absl::GetFlag(FLAGS_max_running_batches);
  o.scheduler.inline_bytes = absl::GetFlag(FLAGS_inline_bytes);
  BatchQueue::Limits& queue = o.scheduler.queue;
  queue.max_queued = absl::GetFlag(FLAGS_max_queued);
  queue.max_queued_bytes = absl::GetFlag(FLAGS_max_queued_bytes);
  queue.max_batch_jobs = absl::GetFlag(FLAGS_max_batch_requests);
  queue.max_batch_elements = absl::GetFlag(FLAGS_max_batch_elements);
  queue.max_batch_bytes = absl::GetFlag(FLAGS_max_batch_bytes);
  queue.delay = absl::GetFlag(FLAGS_batch_delay);
  o.device_threads = absl::GetFlag(FLAGS_device_threads);
  o.device_memory_bytes = absl::GetFlag(FLAGS_device_memory_bytes);
  o.device_watchdog = absl::GetFlag(FLAGS_device_watchdog);
  o.compile_threads = absl::GetFlag(FLAGS_compile_threads);
  o.max_queued_compilations = absl::GetFlag(FLAGS_max_queued_compilations);
  o.programs.compile_time_per_minute =
      absl::Seconds(absl::GetFlag(FLAGS_max_compile_seconds_per_minute));
  o.max_queued_control_calls = absl::GetFlag(FLAGS_max_queued_control_calls);
  o.cache_directory = absl::GetFlag(FLAGS_cache_directory);
  o.cache_directory_required = !o.cache_directory.empty();
  if (o.cache_directory.empty()) {
    o.cache_directory = ObjectCache::DefaultPath();
  }
  if (o.cache_directory == "none") o.cache_directory = "";
  o.pack = absl::GetFlag(FLAGS_pack);
  if (o.pack.empty()) o.pack = ShippedPack();
  if (o.pack == "none") o.pack = "";
  o.max_idle_buffer_bytes = absl::GetFlag(FLAGS_max_idle_buffer_bytes);
  o.residuals.max_bytes = absl::GetFlag(FLAGS_max_residual_bytes);
  o.residuals.max_count = absl::GetFlag(FLAGS_max_residuals);
  o.residuals.spent_grace = absl::GetFlag(FLAGS_spent_residual_grace);
  o.default_residual_lease = absl::GetFlag(FLAGS_default_residual_lease);
  o.max_residual_lease = absl::GetFlag(FLAGS_max_residual_lease);
  o.drain_delay = absl::GetFlag(FLAGS_drain_delay);
  o.drain_timeout = absl::GetFlag(FLAGS_drain_timeout);
  return o;
}

}  // namespace

absl::StatusOr<Configuration> ReadConfiguration(int argc, char** argv) {
  SetUsage();
  ACTSERVE_ASSIGN_OR_RETURN(FlagValues values,
                            FlagValues::Load(argc, argv, environ, kThisFile));
  absl::StatusOr<Options> options = OptionsFromFlags();
  if (!options.ok()) return values.Locate(options.status());
  return Configuration{*std::move(options), std::move(values),
                       absl::GetFlag(FLAGS_check)};
}

}  // namespace actserve
