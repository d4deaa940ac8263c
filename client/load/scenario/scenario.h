#ifndef ACTSERVE_CLIENT_LOAD_SCENARIO_SCENARIO_H_
#define ACTSERVE_CLIENT_LOAD_SCENARIO_SCENARIO_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/load/run/phase.h"
#include "client/load/scenario/condition.h"
#include "client/load/scenario/quantity.h"
#include "client/load/workload/request_spec.h"

namespace actserve {

// A load whose rate may depend on what earlier phases measured.
struct LoadTemplate {
  LoadPlan plan;
  // Of an open loop at a constant rate; without factors: none.
  Term rate;
  // Of a closed loop: the phase is run once for each.
  std::vector<int> sweep;
};

struct PhaseTemplate {
  // Without loads.
  Phase phase;
  std::map<std::string, LoadTemplate> loads;
};

// What to send, when, and what must come of it. docs/load.md describes the
// files.
struct Scenario {
  std::string name = "run";
  std::string about;
  uint64_t seed = 1;
  std::vector<WorkloadSpec> workloads;
  std::vector<PhaseTemplate> phases;
  std::vector<Condition> conditions;
};

inline constexpr char kScenarioSchema[] = "actload.scenario/1";

// Reads a scenario from JSON, in which comments are allowed. `definitions` are
// the values of ${NAME} in its strings; durations are multiplied by
// `time_scale`. Paths are relative to `folder`.
//   InvalidArgument  with the place of the field, its value and the limit
absl::StatusOr<Scenario> ParseScenario(
    const std::string& text, const std::string& folder,
    const std::map<std::string, std::string>& definitions, double time_scale);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_SCENARIO_SCENARIO_H_
