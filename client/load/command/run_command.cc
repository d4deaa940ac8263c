// `actload run`, and `actload report`.

#include <filesystem>
#include <iostream>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/read_file.h"
#include "client/load/command/commands.h"
#include "client/load/command/deliver.h"
#include "client/load/report/html.h"
#include "client/load/report/table.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"

namespace actserve {
namespace {

absl::StatusOr<std::vector<RateSegment>> ParseSteps(const std::string& text) {
  std::vector<RateSegment> segments;
  for (const absl::string_view word : absl::StrSplit(text, ',')) {
    const std::vector<std::string> parts = absl::StrSplit(word, '@');
    RateSegment segment;
    if (parts.size() != 2 || !absl::SimpleAtod(parts[0], &segment.from_rate) ||
        !absl::SimpleAtod(parts[1], &segment.seconds) ||
        !(segment.from_rate >= 0) || !(segment.seconds > 0)) {
      return InvalidArgument("--steps ", Quoted({word.data(), word.size()}),
                             " is not RATE@SECONDS");
    }
    segment.to_rate = segment.from_rate;
    segments.push_back(segment);
  }
  return segments;
}

absl::StatusOr<RateSegment> ParseRamp(const std::string& text, double seconds) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  RateSegment segment;
  segment.seconds = seconds;
  if (parts.size() != 2 || !absl::SimpleAtod(parts[0], &segment.from_rate) ||
      !absl::SimpleAtod(parts[1], &segment.to_rate) ||
      !(segment.from_rate >= 0) || !(segment.to_rate >= 0)) {
    return InvalidArgument("--ramp ", Quoted(text), " is not FROM:TO");
  }
  return segment;
}

// The scenario of one phase that the flags describe.
absl::StatusOr<Scenario> ScenarioOf(const RunFlags& flags,
                                    double timeout_seconds) {
  Scenario scenario;
  scenario.seed = flags.requests.seed;
  ACTSERVE_ASSIGN_OR_RETURN(scenario.workloads.emplace_back(),
                            WorkloadOf(flags.requests, timeout_seconds));
  PhaseTemplate phase;
  phase.phase.name = "load";
  phase.phase.seconds = flags.seconds;
  phase.phase.warmup_seconds = flags.warmup_seconds;
  phase.phase.window_seconds = std::min(flags.window_seconds, flags.seconds);
  if (flags.until_stable) phase.phase.until_stable = StabilityRule();
  LoadTemplate load;
  LoadPlan& plan = load.plan;
  plan.arrivals.poisson = flags.arrivals == "poisson";
  plan.max_in_flight = flags.max_in_flight;
  plan.kind = LoadPlan::Kind::kOpen;
  if (flags.rate > 0) {
    load.rate.factors = {{.number = flags.rate}};
    plan.arrivals.segments = {RateSegment()};
  } else if (!flags.ramp.empty()) {
    ACTSERVE_ASSIGN_OR_RETURN(const RateSegment segment,
                              ParseRamp(flags.ramp, flags.seconds));
    plan.arrivals.segments = {segment};
    phase.phase.warmup_seconds = 0;
  } else if (!flags.steps.empty()) {
    ACTSERVE_ASSIGN_OR_RETURN(plan.arrivals.segments, ParseSteps(flags.steps));
    phase.phase.warmup_seconds = 0;
    phase.phase.seconds = 0;
    for (const RateSegment& segment : plan.arrivals.segments) {
      phase.phase.seconds += segment.seconds;
    }
  } else if (!flags.replay_file.empty()) {
    plan.kind = LoadPlan::Kind::kReplay;
    ACTSERVE_ASSIGN_OR_RETURN(const std::string text,
                              ReadFile(flags.replay_file));
    ACTSERVE_ASSIGN_OR_RETURN(plan.trace, ParseTrace(text));
    phase.phase.warmup_seconds = 0;
    phase.phase.seconds = std::max(
        phase.phase.window_seconds,
        std::ceil(plan.trace.back().nanos / 1e9 / phase.phase.window_seconds) *
            phase.phase.window_seconds);
  } else {
    plan.kind = LoadPlan::Kind::kClosed;
    plan.in_flight = flags.in_flight[0];
    if (flags.in_flight.size() > 1) load.sweep = flags.in_flight;
  }
  phase.loads.emplace(scenario.workloads[0].name, std::move(load));
  scenario.phases.push_back(std::move(phase));
  return scenario;
}

absl::StatusOr<Scenario> ReadScenario(const RunFlags& flags) {
  ACTSERVE_ASSIGN_OR_RETURN(const std::string text,
                            ReadFile(flags.scenario_file));
  const std::string folder =
      std::filesystem::absolute(flags.scenario_file).parent_path();
  auto scenario =
      ParseScenario(text, folder, flags.definitions, flags.time_scale);
  if (scenario.ok()) return scenario;
  return absl::Status(
      scenario.status().code(),
      absl::StrCat(flags.scenario_file, ": ", scenario.status().message()));
}

}  // namespace

absl::StatusOr<int> RunCommand(const ServerFlags& server, const RunFlags& flags,
                               const ReportFlags& report) {
  Scenario scenario;
  if (flags.scenario_file.empty()) {
    ACTSERVE_ASSIGN_OR_RETURN(scenario,
                              ScenarioOf(flags, server.timeout_seconds));
  } else {
    ACTSERVE_ASSIGN_OR_RETURN(scenario, ReadScenario(flags));
  }
  for (const std::string& text : report.conditions) {
    ACTSERVE_ASSIGN_OR_RETURN(scenario.conditions.emplace_back(),
                              ParseCondition(text));
  }
  RunOptions options = RunOptionsOf(server, report, scenario.seed);
  options.phase.record_trace = !flags.trace_file.empty();
  ACTSERVE_ASSIGN_OR_RETURN(const auto run, RunScenario(scenario, options));
  if (options.phase.record_trace) {
    ACTSERVE_RETURN_IF_ERROR(
        WriteFile(flags.trace_file, TraceText(run->trace())));
  }
  return DeliverRun(run->result(), report);
}

absl::StatusOr<int> ReportCommand(const std::string& json_file,
                                  const std::string& html_file) {
  ACTSERVE_ASSIGN_OR_RETURN(const nlohmann::json run, ReadRun(json_file));
  if (html_file.empty()) {
    std::cout << TableOf(run);
    return kPassed;
  }
  ACTSERVE_RETURN_IF_ERROR(WriteFile(html_file, HtmlOf(run)));
  return kPassed;
}

}  // namespace actserve
