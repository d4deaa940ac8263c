#include "client/load/scenario/find_peak.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/load/scenario/quantity.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"

namespace actserve {
namespace {

using nlohmann::json;

const json& FiguresOfLast(const ScenarioRun& run) {
  return run.result()["phases"].back()["workloads"][0]["figures"];
}

Phase PhaseOf(const PeakSearch& search, const std::string& name,
              LoadPlan plan) {
  Phase phase;
  phase.name = name;
  phase.window_seconds = search.window_seconds;
  phase.warmup_seconds = search.window_seconds;
  phase.until_stable = StabilityRule();
  plan.max_in_flight = search.max_in_flight;
  phase.loads[search.workload] = std::move(plan);
  return phase;
}

// The highest rate of closed loops.
absl::StatusOr<double> ClosedPeak(const PeakSearch& search, ScenarioRun& run) {
  double best = 0;
  int without_growth = 0;
  for (int callers = 1; callers <= search.max_in_flight && without_growth < 2;
       callers *= 2) {
    LoadPlan plan;
    plan.in_flight = callers;
    Phase phase = PhaseOf(search, absl::StrCat("closed/", callers), plan);
    phase.sweep = "closed";
    phase.until_stable->max_windows = 4;
    ACTSERVE_RETURN_IF_ERROR(run.Run(phase));
    const double rate = FiguresOfLast(run)["rate"];
    without_growth = rate > best * 1.05 ? 0 : without_growth + 1;
    best = std::max(best, rate);
  }
  return best;
}

}  // namespace

absl::StatusOr<Slo> ParseSlo(const std::string& text) {
  const std::vector<std::string> known = {"p50",  "p90",  "p95", "p99",
                                          "p999", "mean", "max"};
  const std::vector<std::string> parts = absl::StrSplit(text, '=');
  Slo slo;
  if (parts.size() == 2 &&
      std::find(known.begin(), known.end(), parts[0]) != known.end()) {
    slo.figure = parts[0];
    ACTSERVE_ASSIGN_OR_RETURN(slo.seconds, ParseQuantity(parts[1]));
    if (slo.seconds > 0) return slo;
  }
  return InvalidArgument("--slo ", Quoted(text),
                         " is not FIGURE=TIME, such as p99=10ms, with one of ",
                         absl::StrJoin(known, ", "));
}

absl::Status FindPeak(const PeakSearch& search, ScenarioRun& run) {
  ACTSERVE_ASSIGN_OR_RETURN(const double closed, ClosedPeak(search, run));
  if (!(closed > 0)) {
    return absl::UnavailableError("no call of the closed loop ended well");
  }
  double holds = 0;
  double fails = closed * 1.2;
  bool ended_by_generator = false;
  double rate = closed * 0.7;
  while (fails > holds * (1 + search.precision) && rate > closed * 0.005) {
    LoadPlan plan;
    plan.kind = LoadPlan::Kind::kOpen;
    plan.arrivals.segments = {{.from_rate = rate, .to_rate = rate}};
    ACTSERVE_RETURN_IF_ERROR(
        run.Run(PhaseOf(search, absl::StrFormat("open/%.0f", rate), plan)));
    const json& figures = FiguresOfLast(run);
    const bool valid = run.result()["phases"].back()["invalid"].empty();
    if (valid && figures["errors"] == 0 && figures["ok"] > 0 &&
        figures[search.slo.figure] <= search.slo.seconds) {
      holds = rate;
    } else {
      fails = rate;
      ended_by_generator =
          !valid && figures["lag_p99"].get<double>() > search.slo.seconds / 10;
    }
    rate = (holds + fails) / 2;
  }
  json& result = run.mutable_result();
  result["peak"] = {{"rate", holds},
                    {"fails_at", fails},
                    {"closed_rate", closed},
                    {"figure", search.slo.figure},
                    {"limit", search.slo.seconds}};
  result["verdict"] = holds == 0           ? "failed"
                      : ended_by_generator ? "invalid"
                                           : "passed";
  return absl::OkStatus();
}

}  // namespace actserve
