#include "server/flags.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "kernels/device/object_cache.h"
#include "proto/default_address.h"
#include "server/version.h"

namespace {

// Every default that is a number lives in Options.
const actserve::Options& Defaults() {
  static const auto* const defaults = new actserve::Options;
  return *defaults;
}

int HardwareThreads() {
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

ABSL_FLAG(std::vector<std::string>, listen, {actserve::kDefaultTcpAddress},
          "comma-separated host:port to listen on; port 0 takes a free one. "
          "Nothing is encrypted or authenticated: beyond loopback, put a "
          "proxy in front");
ABSL_FLAG(std::string, unix_socket, actserve::DefaultSocketPath(),
          "path of the unix socket to listen on too, which clients of this "
          "host find by themselves; empty: none");
ABSL_FLAG(std::string, port_file, "",
          "file to write the addresses to that are listened on, one a line, "
          "once they are; empty: none");
ABSL_FLAG(bool, reflection, Defaults().reflection,
          "serve gRPC reflection, for tools that explore");
ABSL_FLAG(std::string, log_level, Defaults().log_level,
          "least severe level logged: debug (every request), info, warning "
          "or error. The log is JSON, one event a line, on stderr");

ABSL_FLAG(int64_t, max_message_bytes, Defaults().max_message_bytes,
          "largest request or response, tensors and all");
ABSL_FLAG(int64_t, max_metadata_bytes, Defaults().max_metadata_bytes,
          "largest request beside its tensors");
ABSL_FLAG(int, max_rank, Defaults().tensor.rank, "dimensions of a tensor");
ABSL_FLAG(int64_t, max_elements, Defaults().tensor.elements,
          "elements of a tensor");

ABSL_FLAG(int64_t, max_source_bytes, Defaults().registry.language.source_bytes,
          "length of an activation's text");
ABSL_FLAG(int, max_depth, Defaults().registry.language.depth,
          "nesting of an activation's text");
ABSL_FLAG(int, max_parameters, Defaults().registry.language.parameters,
          "parameters of an activation");
ABSL_FLAG(int, max_inputs, Defaults().registry.language.inputs,
          "tensor inputs of an activation");
ABSL_FLAG(int64_t, max_program_weight, Defaults().registry.language.weight,
          "size of a program in expanded operations: bounds the time of its "
          "compilation");
ABSL_FLAG(int64_t, max_interleaved_weight,
          Defaults().registry.language.interleaved_weight,
          "size up to which a program is compiled for speed above all");
ABSL_FLAG(int, max_registered, Defaults().registry.max_registered,
          "registered activations kept; beyond, the one not used for the "
          "longest is forgotten, and its client registers it again");

ABSL_FLAG(int, max_plans, Defaults().plans.max_plans,
          "kinds of Forward, and of Backward, whose decoded form is kept");
ABSL_FLAG(int, max_programs, Defaults().programs.max_programs,
          "compiled programs kept at hand");
ABSL_FLAG(int, max_waiting_for_programs, Defaults().programs.max_waiting,
          "requests that may wait for a compilation");
ABSL_FLAG(std::string, device, Defaults().device,
          "what computes: cpu; cuda:N, the GPU of that number; or auto, the "
          "first GPU if it can be used and else the CPU. The log and "
          "GetServerInfo say which it is and why");
ABSL_FLAG(int, compute_threads, HardwareThreads(),
          "threads that hand requests to the device and results back, for "
          "requests larger than --inline_bytes");
ABSL_FLAG(int, max_running_batches, Defaults().max_running_batches,
          "batches on the device at once, while which the others wait and "
          "grow; 0: --compute_threads on the CPU, 3 on a GPU");
ABSL_FLAG(int, device_threads, Defaults().device_threads,
          "threads that one large tensor is spread over; 0: all of the host");
ABSL_FLAG(int64_t, device_memory_bytes, Defaults().device_memory_bytes,
          "memory of a GPU for tensors on their way and tables; 0: nine tenths "
          "of what is free at the start");
ABSL_FLAG(absl::Duration, device_watchdog, Defaults().device_watchdog,
          "after which work that a GPU has not done is taken for a kernel that "
          "hangs, and the GPU for lost");
ABSL_FLAG(int64_t, inline_bytes, Defaults().scheduler.inline_bytes,
          "requests of at most so many bytes of tensors are computed where "
          "they were received, if the device is the CPU; -1: none");
ABSL_FLAG(int, max_queued, Defaults().scheduler.queue.max_queued,
          "requests that may wait for the device; beyond, whoever has most "
          "of them there is told to back off");
ABSL_FLAG(int64_t, max_queued_bytes,
          Defaults().scheduler.queue.max_queued_bytes,
          "bytes of tensors that may wait for the device");
ABSL_FLAG(int, max_batch_requests, Defaults().scheduler.queue.max_batch_entries,
          "waiting requests of one program that run together; 1: each alone");
ABSL_FLAG(int64_t, max_batch_elements,
          Defaults().scheduler.queue.max_batch_elements,
          "elements of one batch; a larger request runs alone");
ABSL_FLAG(int64_t, max_batch_bytes, Defaults().scheduler.queue.max_batch_bytes,
          "bytes of tensors of one batch; a larger request runs alone");
ABSL_FLAG(absl::Duration, batch_delay, Defaults().scheduler.queue.delay,
          "how long a request that was queued waits for others of its program "
          "although the device is free. Without it a batch is what came while "
          "the device was busy");
ABSL_FLAG(int, compile_threads, Defaults().compile_threads,
          "threads that compile");
ABSL_FLAG(int, max_queued_compilations, Defaults().max_queued_compilations,
          "texts and programs that may wait for a compile thread");
ABSL_FLAG(std::string, cache_directory, "",
          "where compiled programs are kept across restarts, made with mode "
          "0700; none: nowhere; empty: $XDG_CACHE_HOME/actserve/programs or "
          "$HOME/.cache/actserve/programs if that can be used");
ABSL_FLAG(
    std::string, pack, "",
    "file of programs for GPUs that actctl precompile --pack compiled "
    "beforehand, for which no NVRTC is needed; none: do without; empty: "
    "../share/actserve/builtins.sass beside this program, if it is there");
ABSL_FLAG(int64_t, max_idle_buffer_bytes, Defaults().max_idle_buffer_bytes,
          "memory of past results kept for the next");

ABSL_FLAG(int64_t, max_residual_bytes, Defaults().residuals.max_bytes,
          "memory of all residuals");
ABSL_FLAG(int64_t, max_residuals, Defaults().residuals.max_count,
          "number of residuals");
ABSL_FLAG(absl::Duration, default_residual_lease,
          Defaults().default_residual_lease,
          "how long a residual is kept if its request does not say");
ABSL_FLAG(absl::Duration, max_residual_lease, Defaults().max_residual_lease,
          "how long a residual is kept at most");
ABSL_FLAG(absl::Duration, spent_residual_grace,
          Defaults().residuals.spent_grace,
          "how long a residual is kept after its use, for a retry");

ABSL_FLAG(absl::Duration, drain_delay, Defaults().drain_delay,
          "after SIGTERM, how long calls are still accepted while health says "
          "NOT_SERVING, for load balancers to notice");
ABSL_FLAG(absl::Duration, drain_timeout, Defaults().drain_timeout,
          "after that, how long running calls may take to finish");

namespace actserve {
namespace {

constexpr absl::string_view kThisFile = "server/flags.cc";

// What is shipped with this program, or "" if nothing is.
std::string ShippedPack() {
  std::error_code error;
  const std::filesystem::path program =
      std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path pack =
      program.parent_path().parent_path() / "share/actserve/builtins.sass";
  return !error && std::filesystem::exists(pack, error) ? pack.string() : "";
}

}  // namespace

absl::StatusOr<Options> OptionsFromCommandLine(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "Computes activations and their gradients over gRPC.\n"
      "Stops on SIGTERM or SIGINT after finishing what runs; a second signal "
      "cuts --drain_delay short.\n"
      "Exit codes: 0 after a signal, 1 if it cannot start, 69 if the device "
      "was lost (start it again).");
  absl::FlagsUsageConfig config;
  config.version_string = [] { return absl::StrCat("actserved ", kVersion); };
  // --help shows the flags of this file, wherever it was compiled, and not
  // those of the libraries.
  config.normalize_filename = [](absl::string_view file) {
    return std::string(absl::EndsWith(file, kThisFile) ? kThisFile : file);
  };
  config.contains_help_flags = [](absl::string_view file) {
    return file == kThisFile;
  };
  absl::SetFlagsUsageConfig(config);
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(rest[1], ": not a flag; see --help"));
  }

  Options o;
  o.listen = absl::GetFlag(FLAGS_listen);
  o.unix_socket = absl::GetFlag(FLAGS_unix_socket);
  o.port_file = absl::GetFlag(FLAGS_port_file);
  o.reflection = absl::GetFlag(FLAGS_reflection);
  o.log_level = absl::GetFlag(FLAGS_log_level);
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
  queue.max_batch_entries = absl::GetFlag(FLAGS_max_batch_requests);
  queue.max_batch_elements = absl::GetFlag(FLAGS_max_batch_elements);
  queue.max_batch_bytes = absl::GetFlag(FLAGS_max_batch_bytes);
  queue.delay = absl::GetFlag(FLAGS_batch_delay);
  o.device_threads = absl::GetFlag(FLAGS_device_threads);
  o.device_memory_bytes = absl::GetFlag(FLAGS_device_memory_bytes);
  o.device_watchdog = absl::GetFlag(FLAGS_device_watchdog);
  o.compile_threads = absl::GetFlag(FLAGS_compile_threads);
  o.max_queued_compilations = absl::GetFlag(FLAGS_max_queued_compilations);
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

}  // namespace actserve
