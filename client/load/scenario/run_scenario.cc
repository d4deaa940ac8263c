#include "client/load/scenario/run_scenario.h"

#include <sys/utsname.h>

#include <fstream>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/load/report/figures.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

using nlohmann::json;

json MachineJson() {
  std::string model = "unknown";
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (!absl::StartsWith(line, "model name")) continue;
    model = line.substr(line.find(':') + 2);
    break;
  }
  utsname system;
  uname(&system);
  return {{"processor", model},
          {"threads", std::thread::hardware_concurrency()},
          {"kernel", absl::StrCat(system.sysname, " ", system.release)}};
}

// What the server says of itself; some want a role for that.
json ServerJson(Client& client) {
  const auto info = client.GetServerInfo();
  if (!info.ok()) return {{"error", std::string(info.status().message())}};
  json devices = json::array();
  for (const v1::DeviceInfo& device : info->devices()) {
    devices.push_back(device.name());
  }
  return {{"version", info->version()}, {"devices", devices}};
}

bool NeedsLocal(const Scenario& scenario) {
  for (const WorkloadSpec& workload : scenario.workloads) {
    if (workload.verify > 0) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ScenarioRun>> ScenarioRun::Prepare(
    const Scenario& scenario, const RunOptions& options) {
  std::unique_ptr<ScenarioRun> run(new ScenarioRun(options));
  run->result_ = {{"schema", kRunSchema},
                  {"version", ACTSERVE_VERSION},
                  {"started", absl::FormatTime(absl::RFC3339_sec, absl::Now(),
                                               absl::UTCTimeZone())},
                  {"machine", MachineJson()},
                  {"command", options.command_line},
                  {"scenario", scenario.name},
                  {"about", scenario.about},
                  {"seed", scenario.seed},
                  {"servers", json::object()},
                  {"phases", json::array()},
                  {"conditions", json::array()}};
  std::unique_ptr<Client> local;
  if (NeedsLocal(scenario)) {
    ACTSERVE_ASSIGN_OR_RETURN(local, Client::Local());
  }
  for (const WorkloadSpec& workload : scenario.workloads) {
    ACTSERVE_ASSIGN_OR_RETURN(
        auto target,
        Target::Connect(workload, options.server, local.get(), scenario.seed));
    if (!run->result_["servers"].contains(target->spec().address)) {
      run->result_["servers"][target->spec().address] =
          ServerJson(target->client());
    }
    run->targets_.emplace(workload.name, std::move(target));
  }
  return run;
}

absl::Status ScenarioRun::Run(const Phase& phase) {
  if (options_.on_phase) options_.on_phase(phase.name);
  ACTSERVE_ASSIGN_OR_RETURN(PhaseOutcome outcome,
                            RunPhase(phase, targets_, options_.phase));
  result_["phases"].push_back(std::move(outcome.result));
  trace_.insert(trace_.end(), outcome.trace.begin(), outcome.trace.end());
  return absl::OkStatus();
}

absl::Status ScenarioRun::Run(const PhaseTemplate& phase) {
  Phase resolved = phase.phase;
  std::string swept;
  for (const auto& [name, load] : phase.loads) {
    LoadPlan plan = load.plan;
    if (!load.rate.factors.empty()) {
      auto rate = ValueIn(result_, load.rate);
      if (rate.ok() && !(*rate > 0)) {
        rate = InvalidArgument("a rate of ", *rate);
      }
      if (!rate.ok()) {
        return absl::Status(rate.status().code(),
                            absl::StrCat("phase ", resolved.name, ": ",
                                         rate.status().message()));
      }
      plan.arrivals.segments[0].from_rate = *rate;
      plan.arrivals.segments[0].to_rate = *rate;
    }
    resolved.loads[name] = std::move(plan);
    if (!load.sweep.empty()) swept = name;
  }
  if (swept.empty()) return Run(resolved);
  resolved.sweep = resolved.name;
  for (const int in_flight : phase.loads.at(swept).sweep) {
    resolved.loads[swept].in_flight = in_flight;
    resolved.name = absl::StrCat(resolved.sweep, "/", in_flight);
    ACTSERVE_RETURN_IF_ERROR(Run(resolved));
  }
  return absl::OkStatus();
}

absl::Status ScenarioRun::Finish(const std::vector<Condition>& conditions) {
  std::string verdict = "passed";
  for (const Condition& condition : conditions) {
    ACTSERVE_ASSIGN_OR_RETURN(json judged, Judge(result_, condition));
    if (!judged["passed"]) verdict = "failed";
    result_["conditions"].push_back(std::move(judged));
  }
  for (const json& phase : result_["phases"]) {
    for (const json& workload : phase["workloads"]) {
      if (workload["figures"]["wrong"] != 0) verdict = "failed";
    }
  }
  for (const json& phase : result_["phases"]) {
    if (!phase["invalid"].empty()) verdict = "invalid";
  }
  result_["verdict"] = verdict;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ScenarioRun>> RunScenario(
    const Scenario& scenario, const RunOptions& options) {
  ACTSERVE_ASSIGN_OR_RETURN(auto run, ScenarioRun::Prepare(scenario, options));
  for (const PhaseTemplate& phase : scenario.phases) {
    ACTSERVE_RETURN_IF_ERROR(run->Run(phase));
  }
  ACTSERVE_RETURN_IF_ERROR(run->Finish(scenario.conditions));
  return run;
}

}  // namespace actserve
