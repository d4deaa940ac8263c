#include "client/load/run/phase.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/load/report/figures.h"
#include "client/load/run/load.h"
#include "client/load/run/server_metrics.h"
#include "client/load/schedule/clock.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

using nlohmann::json;

// Time to make the threads.
constexpr double kStartSeconds = 0.05;

double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + time.tv_usec / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int NumCpus() {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0) return 1;
  return CPU_COUNT(&cpus);
}

struct Running {
  std::string workload;
  Target* target;
  const LoadPlan* plan;
  std::unique_ptr<Load> load;
  std::vector<WindowFigures> windows;
};

// The line of a running phase.
std::string ProgressText(const Phase& phase, const Running& first, int window,
                         double passed) {
  const Tally tally = first.load->recorder().Window(std::max(0, window - 1));
  return absl::StrFormat(
      "%s  %.0f s  %.0f/s  p50 %.3f ms  p99 %.3f ms  errors %d", phase.name,
      std::max(0.0, passed),
      static_cast<double>(tally.ok.count()) / phase.window_seconds,
      tally.ok.Quantile(0.5) / 1e6, tally.ok.Quantile(0.99) / 1e6,
      tally.failed.count());
}

json PlanJson(const LoadPlan& plan) {
  if (plan.kind == LoadPlan::Kind::kClosed) {
    return {{"kind", "closed"}, {"in_flight", plan.in_flight}};
  }
  json json = {{"max_in_flight", plan.max_in_flight}};
  if (plan.kind == LoadPlan::Kind::kReplay) {
    json["kind"] = "replay";
    json["requests"] = plan.trace.size();
    return json;
  }
  json["kind"] = "open";
  json["arrivals"] = plan.arrivals.poisson ? "poisson" : "constant";
  if (plan.arrivals.segments.size() == 1 &&
      std::isinf(plan.arrivals.segments[0].seconds)) {
    json["rate"] = plan.arrivals.segments[0].from_rate;
  } else {
    for (const RateSegment& segment : plan.arrivals.segments) {
      json["segments"].push_back({{"seconds", segment.seconds},
                                  {"from_rate", segment.from_rate},
                                  {"to_rate", segment.to_rate}});
    }
  }
  return json;
}

// Why the figures of a workload are those of the generator.
std::vector<std::string> WhyInvalid(const Phase& phase, const Running& running,
                                    const json& figures,
                                    const PhaseOptions& options) {
  std::vector<std::string> why;
  if (running.plan->kind == LoadPlan::Kind::kClosed) return why;
  const double lag = figures["lag_p99"];
  if (lag > options.max_lag_seconds) {
    why.push_back(absl::StrFormat(
        "%s: requests were sent late though callers were free: p99 of the lag "
        "%.3f ms, limit %.3f ms (--max_lag)",
        running.workload, lag * 1e3, options.max_lag_seconds * 1e3));
  }
  const double blocked = figures["blocked_ratio"];
  if (blocked > phase.max_blocked_ratio) {
    why.push_back(absl::StrFormat(
        "%s: %.1f %% of the requests found all %d callers waiting, limit %.1f "
        "%% (--max_in_flight)",
        running.workload, blocked * 100, running.plan->max_in_flight,
        phase.max_blocked_ratio * 100));
  }
  return why;
}

// The server's side: every series before and after, and some over time.
json MetricsJson(const std::string& address, const MetricValues& before,
                 const MetricValues& after,
                 const std::vector<MetricsWatch::Sample>& samples,
                 absl::Time begin) {
  json result = {{"address", address}};
  for (const auto& [name, value] : after) {
    if (absl::StrContains(name, "_bucket{")) continue;
    const auto old = before.find(name);
    double most = value;
    for (const MetricsWatch::Sample& sample : samples) {
      const auto found = sample.values.find(name);
      if (found != sample.values.end()) most = std::max(most, found->second);
    }
    result["series"][name] = {{"before", old == before.end() ? 0 : old->second},
                              {"after", value},
                              {"max", most}};
  }
  for (const char* name :
       {"grpc_server_handling_seconds", "actserve_queue_wait_seconds",
        "actserve_batch_requests", "actserve_stage_seconds",
        "actserve_compile_seconds"}) {
    result["quantiles"][name] = {
        {"p50", MetricQuantile(before, after, name, 0.5)},
        {"p99", MetricQuantile(before, after, name, 0.99)}};
  }
  json over_time = json::array();
  for (const MetricsWatch::Sample& sample : samples) {
    json point = {{"t", absl::ToDoubleSeconds(sample.time - begin)}};
    for (const char* name :
         {"process_resident_memory_bytes", "process_cpu_seconds_total",
          "process_open_fds", "actserve_queued_requests",
          "actserve_connections", "actserve_memory_bytes",
          "actserve_residual_bytes", "actserve_refusals_total"}) {
      point[name] = MetricSum(sample.values, name);
    }
    over_time.push_back(point);
  }
  result["over_time"] = over_time;
  return result;
}

}  // namespace

absl::StatusOr<PhaseOutcome> RunPhase(const Phase& phase, Targets& targets,
                                      const PhaseOptions& options) {
  MetricValues before;
  std::unique_ptr<MetricsWatch> watch;
  if (!options.metrics_address.empty()) {
    ACTSERVE_ASSIGN_OR_RETURN(before, ScrapeMetrics(options.metrics_address));
    watch = std::make_unique<MetricsWatch>(options.metrics_address);
  }
  const absl::Time begin_time =
      absl::Now() + absl::Seconds(kStartSeconds + phase.warmup_seconds);
  Load::Options load_options;
  load_options.seed = options.seed;
  load_options.record_trace = options.record_trace;
  load_options.start_nanos = MonotonicNanos() + NanosOf(kStartSeconds);
  load_options.first_nanos =
      load_options.start_nanos + NanosOf(phase.warmup_seconds);
  load_options.window_nanos = NanosOf(phase.window_seconds);
  std::vector<Running> all;
  absl::Status status;
  for (const auto& [name, plan] : phase.loads) {
    auto load = Load::Start(*targets.at(name), plan, load_options);
    if (!load.ok()) {
      status = load.status();
      break;
    }
    all.push_back({name, targets.at(name).get(), &plan, *std::move(load), {}});
    ++load_options.seed;
  }

  // Watches the windows, until the time is over.
  SleepUntilNanos(load_options.first_nanos);
  const double cpu_before = CpuSeconds();
  const int max_windows =
      phase.until_stable
          ? phase.until_stable->max_windows
          : std::max(1, static_cast<int>(std::llround(phase.seconds /
                                                      phase.window_seconds)));
  bool stable = false;
  int window = 0;
  while (status.ok() && window < max_windows && !stable) {
    const int64_t window_end =
        load_options.first_nanos + (window + 1) * load_options.window_nanos;
    while (MonotonicNanos() < window_end) {
      SleepUntilNanos(std::min(window_end, MonotonicNanos() + NanosOf(0.25)));
      if (options.progress) {
        options.progress(ProgressText(
            phase, all[0], window,
            SecondsOfNanos(MonotonicNanos() - load_options.first_nanos)));
      }
    }
    ++window;
    stable = phase.until_stable.has_value();
    bool all_ended = true;
    for (Running& each : all) {
      const Tally tally = each.load->recorder().Window(window - 1);
      each.windows.push_back(
          {tally.ok.count() / phase.window_seconds, tally.ok.mean() / 1e9});
      stable = stable && IsStable(each.windows, *phase.until_stable);
      all_ended = all_ended && each.load->ended();
    }
    if (all_ended) break;
  }
  const double cpu_seconds = CpuSeconds() - cpu_before;
  const double seconds = std::max(1, window) * phase.window_seconds;
  const int64_t end_nanos = load_options.first_nanos +
                            std::max(1, window) * load_options.window_nanos;
  for (Running& each : all) each.load->Stop(end_nanos);
  ACTSERVE_RETURN_IF_ERROR(status);

  PhaseOutcome outcome;
  json& result = outcome.result;
  result = {{"name", phase.name},      {"sweep", phase.sweep},
            {"seconds", seconds},      {"warmup_seconds", phase.warmup_seconds},
            {"windows", window},       {"workloads", json::array()},
            {"invalid", json::array()}};
  if (phase.until_stable) result["stable"] = stable;
  const double cpu_share = cpu_seconds / seconds / NumCpus();
  result["generator"] = {{"cpu_seconds", cpu_seconds},
                         {"cpu_share", cpu_share}};
  for (Running& each : all) {
    const bool is_open = each.plan->kind != LoadPlan::Kind::kClosed;
    json workload =
        WorkloadJson(each.target->spec(), each.load->recorder().Take(), seconds,
                     phase.window_seconds, is_open);
    workload["load"] = PlanJson(*each.plan);
    for (std::string& why :
         WhyInvalid(phase, each, workload["figures"], options)) {
      result["invalid"].push_back(std::move(why));
    }
    result["workloads"].push_back(std::move(workload));
    if (!options.record_trace) continue;
    for (TraceEntry& entry : each.load->TakeTrace()) {
      outcome.trace.push_back(std::move(entry));
    }
  }
  if (watch != nullptr) {
    const auto samples = watch->Stop();
    // A server that has gone has no metrics any more.
    auto after = ScrapeMetrics(options.metrics_address);
    if (after.ok()) {
      result["server"] = MetricsJson(options.metrics_address, before, *after,
                                     samples, begin_time);
    } else {
      result["server"] = {{"address", options.metrics_address},
                          {"error", std::string(after.status().message())}};
    }
  }
  return outcome;
}

}  // namespace actserve
