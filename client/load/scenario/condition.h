#ifndef ACTSERVE_CLIENT_LOAD_SCENARIO_CONDITION_H_
#define ACTSERVE_CLIENT_LOAD_SCENARIO_CONDITION_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/load/scenario/quantity.h"
#include "nlohmann/json.hpp"

namespace actserve {

// What a run must fulfill: "TERM <= TERM", with <=, <, >=, >, == or !=.
struct Condition {
  std::string text;
  Term value;
  std::string comparison;
  Term limit;
};

// InvalidArgument  not of that form
absl::StatusOr<Condition> ParseCondition(const std::string& text);

// The value of "[PHASE.][WORKLOAD.]FIGURE" in a run: without a phase that of
// the last one, without a workload that of the phase's only one. The name of a
// sweep means its step with the highest rate. Beside the figures of
// FigureNames() there are
//   code.NAME, reason.NAME  the number of calls that ended so
//   generator.cpu_share
//   server.METRIC           a metric of the server after the phase, the sum of
//                           its series; with .before, .growth or .max at the
//                           end: before the phase, the difference, the
//                           greatest; with .p50 or .p99: a quantile of a
//                           histogram
//   InvalidArgument  there is no such figure
absl::StatusOr<double> FigureIn(const nlohmann::json& run,
                                const std::string& name);

// The value of a term in a run.
absl::StatusOr<double> ValueIn(const nlohmann::json& run, const Term& term);

// {"text", "value", "limit", "passed"}.
absl::StatusOr<nlohmann::json> Judge(const nlohmann::json& run,
                                     const Condition& condition);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_SCENARIO_CONDITION_H_
