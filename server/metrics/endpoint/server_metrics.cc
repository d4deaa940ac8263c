#include "server/metrics/endpoint/server_metrics.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "server/metrics/endpoint/families.h"
#include "server/metrics/endpoint/process_metrics.h"
#include "server/metrics/refusals.h"
#include "server/metrics/reloads.h"
#include "server/observe/service_name.h"

namespace actserve {
namespace {

constexpr double kSecondsInNanosecond = 1e-9;

// As Prometheus exporters of other gRPC libraries spell them, by number.
constexpr std::array<absl::string_view, CallMetrics::kNumCodes> kCodes = {
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
};

Labels LabelsOf(Method method) {
  if (method == Method::kOther) {
    return {{"grpc_method", "other"},
            {"grpc_service", "other"},
            {"grpc_type", "other"}};
  }
  const bool is_kserve =
      method == Method::kModelInfer || method == Method::kModelStreamInfer;
  return {{"grpc_method", std::string(NameOf(method))},
          {"grpc_service", is_kserve ? kKserveServiceName : kServiceName},
          {"grpc_type", "unary"}};
}

double Number(int64_t value) { return static_cast<double>(value); }

}  // namespace

ServerMetrics::ServerMetrics(Sources sources) : sources_(std::move(sources)) {}

std::vector<prometheus::MetricFamily> ServerMetrics::Collect() const {
  Families families = ProcessMetrics();
  CollectCalls(families);
  CollectWork(families);
  CollectMemory(families);
  CollectState(families);
  CollectKeys(families);
  return families;
}

void ServerMetrics::CollectCalls(Families& families) const {
  const CallMetrics& calls = sources_.calls;
  auto handled = CounterFamily("grpc_server_handled_total",
                               "Calls that were answered, by method and code.");
  auto times = HistogramFamily(
      "grpc_server_handling_seconds",
      "Time from the arrival of a call until its answer was sent.");
  for (size_t m = 0; m < CallMetrics::kNumMethods; ++m) {
    const auto method = static_cast<Method>(m);
    for (size_t code = 0; code < kCodes.size(); ++code) {
      Labels labels = LabelsOf(method);
      labels.insert(labels.begin(), {"grpc_code", std::string(kCodes[code])});
      AddValue(Number(calls.num_calls(method, code)), std::move(labels),
               &handled);
    }
    AddHistogram(calls.times(method), kSecondsInNanosecond, LabelsOf(method),
                 &times);
  }
  families.push_back(std::move(handled));
  families.push_back(std::move(times));
  families.push_back(Counter("actserve_received_bytes_total",
                             "Bytes of the requests that arrived.",
                             Number(calls.received_bytes())));
  families.push_back(Counter("actserve_sent_bytes_total",
                             "Bytes of the answers that were handed to gRPC.",
                             Number(calls.sent_bytes())));
  auto refusals = CounterFamily(
      "actserve_refusals_total",
      "Calls that were refused and connections that were closed, by reason.");
  for (size_t i = 0; i < static_cast<size_t>(Refusal::kNumRefusals); ++i) {
    const auto reason = static_cast<Refusal>(i);
    AddValue(Number(NumRefused(reason)),
             {{"reason", std::string(NameOf(reason))}}, &refusals);
  }
  families.push_back(std::move(refusals));
}

void ServerMetrics::CollectWork(Families& families) const {
  const Scheduler& scheduler = sources_.parts.scheduler;
  const SchedulerCounters counters = scheduler.counters();
  families.push_back(Histogram("actserve_queue_wait_seconds",
                               "Time that a request waited for the device. "
                               "Those computed at once are not counted.",
                               scheduler.queue_waits(), kSecondsInNanosecond));
  families.push_back(Gauge("actserve_queued_requests",
                           "Requests that wait for the device.",
                           counters.num_waiting));
  families.push_back(Counter("actserve_inline_requests_total",
                             "Requests that were computed at once, on the "
                             "thread that received them.",
                             Number(counters.num_inline_jobs)));
  families.push_back(Histogram("actserve_batch_requests",
                               "Requests of a batch on the device.",
                               scheduler.batch_jobs(), 1));
  families.push_back(Histogram("actserve_batch_elements",
                               "Elements of a batch on the device.",
                               scheduler.batch_elements(), 1));
  auto stages =
      HistogramFamily("actserve_stage_seconds",
                      "Time of a request's stages on the device. A CPU copies "
                      "nothing.");
  const std::pair<CallMetrics::Stage, const char*> names[] = {
      {CallMetrics::kCopyIn, "copy_in"},
      {CallMetrics::kCompute, "compute"},
      {CallMetrics::kCopyOut, "copy_out"}};
  for (const auto& [stage, name] : names) {
    AddHistogram(sources_.calls.stage(stage), kSecondsInNanosecond,
                 {{"stage", name}}, &stages);
  }
  families.push_back(std::move(stages));

  const ServingParts& parts = sources_.parts;
  families.push_back(Gauge("actserve_programs", "Compiled programs in memory.",
                           Number(parts.programs.count())));
  families.push_back(Histogram("actserve_compile_seconds",
                               "Time to make a program that was not in memory, "
                               "by loading or compiling it.",
                               parts.programs.compile_times(),
                               kSecondsInNanosecond));
  const CodeSources sources = parts.device.code_sources();
  auto lookups = CounterFamily(
      "actserve_program_lookups_total",
      "Where programs were found: requests whose program was in memory, code "
      "that was loaded from disk, and code that was compiled.");
  AddValue(Number(parts.plans.num_found() + parts.programs.num_found()),
           {{"result", "memory"}}, &lookups);
  AddValue(Number(sources.disk), {{"result", "disk"}}, &lookups);
  AddValue(Number(sources.compiled), {{"result", "compiled"}}, &lookups);
  families.push_back(std::move(lookups));
}

void ServerMetrics::CollectMemory(Families& families) const {
  using Half = MemoryBudget::Half;
  const ServingParts& parts = sources_.parts;
  auto used = GaugeFamily(
      "actserve_memory_bytes",
      "What calls and residuals hold of --max_memory_bytes, by half.");
  auto limit = GaugeFamily("actserve_memory_limit_bytes",
                           "Limit on actserve_memory_bytes, by half.");
  const std::pair<Half, const char*> halves[] = {{Half::kRequests, "requests"},
                                                 {Half::kResults, "results"}};
  for (const auto& [half, name] : halves) {
    AddValue(Number(parts.memory.used_bytes(half)), {{"half", name}}, &used);
    AddValue(Number(parts.memory.limit_bytes(half)), {{"half", name}}, &limit);
  }
  families.push_back(std::move(used));
  families.push_back(std::move(limit));
  families.push_back(Gauge("actserve_idle_buffer_bytes",
                           "Memory of past results, kept for new ones.",
                           static_cast<double>(parts.buffers.idle_bytes())));
  families.push_back(Gauge("actserve_residuals", "Residuals that are kept.",
                           Number(parts.residuals.count())));
  families.push_back(Gauge("actserve_residual_bytes",
                           "Memory of the residuals, on the device and in this "
                           "process.",
                           Number(parts.residuals.bytes())));
  families.push_back(Gauge("actserve_resident_bytes",
                           "Of actserve_residual_bytes, what the device holds.",
                           Number(parts.residuals.resident_bytes())));
  const Residuals::Losses losses = parts.residuals.losses();
  auto lost = CounterFamily(
      "actserve_residual_losses_total",
      "Residuals whose clients send their inputs again: no room was left for "
      "them, or their lease ended before they were used.");
  AddValue(Number(losses.refused), {{"reason", "refused"}}, &lost);
  AddValue(Number(losses.expired), {{"reason", "expired"}}, &lost);
  families.push_back(std::move(lost));
  families.push_back(Gauge("actserve_device_memory_bytes",
                           "Memory of the GPU that is in use; 0 on a CPU.",
                           Number(parts.device.used_memory_bytes())));
}

void ServerMetrics::CollectState(Families& families) const {
  const ServingParts& parts = sources_.parts;
  auto build = GaugeFamily("actserve_build_info",
                           "1; the version of the server and its device.");
  AddValue(1, {{"device", parts.device.name()}, {"version", sources_.version}},
           &build);
  families.push_back(std::move(build));
  families.push_back(Gauge("actserve_registered_activations",
                           "Registered activations, without the built-ins.",
                           Number(parts.registry.num_registered())));
  families.push_back(Gauge("actserve_connections", "Open connections.",
                           sources_.num_connections()));
  families.push_back(Gauge("actserve_shared_memory_clients",
                           "Clients that share memory with the server.",
                           sources_.num_shared_memory_clients()));
  families.push_back(Gauge("actserve_shared_memory_bytes",
                           "Memory that they share.",
                           Number(sources_.shared_memory_bytes())));
  families.push_back(Gauge("actserve_shared_device_memory_bytes",
                           "Memory of the GPU that they share.",
                           Number(sources_.shared_device_memory_bytes())));
  families.push_back(Gauge("actserve_device_healthy",
                           "1 if the device works, 0 if it is lost.",
                           parts.device.health().ok()));
  families.push_back(Gauge("actserve_draining",
                           "1 once the server is told to stop, 0 before.",
                           sources_.is_draining()));
}

void ServerMetrics::CollectKeys(Families& families) const {
  auto reloads = CounterFamily(
      "actserve_reloads_total",
      "How often files of keys were read again, by files and result.");
  auto last = GaugeFamily("actserve_last_reload_successful",
                          "0 while the files are wrong, so that older ones are "
                          "in use; 1 otherwise.");
  for (size_t i = 0; i < static_cast<size_t>(ReloadedFiles::kNumReloadedFiles);
       ++i) {
    const auto files = static_cast<ReloadedFiles>(i);
    const std::string name(NameOf(files));
    const ReloadCounts counts = CountsOf(files);
    AddValue(Number(counts.succeeded), {{"files", name}, {"result", "ok"}},
             &reloads);
    AddValue(Number(counts.failed), {{"files", name}, {"result", "failed"}},
             &reloads);
    AddValue(counts.last_succeeded, {{"files", name}}, &last);
  }
  families.push_back(std::move(reloads));
  families.push_back(std::move(last));
  auto expiry = GaugeFamily("actserve_certificate_expiry_timestamp_seconds",
                            "When the server's certificate expires, in seconds "
                            "since 1970. No value without TLS.");
  if (const auto time = sources_.certificate_expiry(); time.has_value()) {
    AddValue(Number(absl::ToUnixSeconds(*time)), {}, &expiry);
  }
  families.push_back(std::move(expiry));
}

}  // namespace actserve
