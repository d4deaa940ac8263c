// `actload find-peak`.

#include <iostream>

#include "absl/strings/str_format.h"
#include "client/load/command/commands.h"
#include "client/load/command/deliver.h"
#include "client/load/scenario/find_peak.h"
#include "client/load/scenario/run_scenario.h"
#include "kernels/base/status_macros.h"

namespace actserve {

absl::StatusOr<int> FindPeakCommand(const ServerFlags& server,
                                    const FindPeakFlags& flags,
                                    const ReportFlags& report) {
  PeakSearch search;
  ACTSERVE_ASSIGN_OR_RETURN(search.slo, ParseSlo(flags.slo));
  search.max_in_flight = flags.max_in_flight;
  search.window_seconds = flags.window_seconds;
  search.precision = flags.precision;
  Scenario scenario;
  scenario.name = "find-peak";
  scenario.seed = flags.requests.seed;
  ACTSERVE_ASSIGN_OR_RETURN(scenario.workloads.emplace_back(),
                            WorkloadOf(flags.requests, server.timeout_seconds));
  ACTSERVE_ASSIGN_OR_RETURN(
      const auto run,
      ScenarioRun::Prepare(scenario,
                           RunOptionsOf(server, report, scenario.seed)));
  ACTSERVE_RETURN_IF_ERROR(FindPeak(search, *run));
  ACTSERVE_ASSIGN_OR_RETURN(const int code, DeliverRun(run->result(), report));
  const nlohmann::json& peak = run->result()["peak"];
  std::cout << absl::StrFormat(
      "peak: %.0f/s with %s; the least rate without is %.0f/s; a closed loop "
      "reaches %.0f/s\n",
      peak["rate"].get<double>(), flags.slo, peak["fails_at"].get<double>(),
      peak["closed_rate"].get<double>());
  return code;
}

}  // namespace actserve
