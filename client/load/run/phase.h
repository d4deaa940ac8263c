#ifndef ACTSERVE_CLIENT_LOAD_RUN_PHASE_H_
#define ACTSERVE_CLIENT_LOAD_RUN_PHASE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/load/run/stability.h"
#include "client/load/run/target.h"
#include "client/load/schedule/load_plan.h"
#include "nlohmann/json.hpp"

namespace actserve {

// A stretch of a run, during which the loads stay the same.
struct Phase {
  std::string name;
  // The name of the sweep that it is a step of; empty: none.
  std::string sweep;
  double warmup_seconds = 1;
  double window_seconds = 1;
  double seconds = 10;
  // If given, ends when stable, and `seconds` does not count.
  std::optional<StabilityRule> until_stable;
  // By the names of workloads; those that are not here rest.
  std::map<std::string, LoadPlan> loads;
  // The most of an open loop's requests for which no caller was free; beyond
  // it, the run is invalid.
  double max_blocked_ratio = 0.01;
};

struct PhaseOptions {
  uint64_t seed = 1;
  // Limit on the generator's own lag, its p99; beyond it, the run is invalid.
  double max_lag_seconds = 1e-3;
  // Where the server's metrics are; empty: not asked.
  std::string metrics_address;
  bool record_trace = false;
  // Called a few times in a second with a line about the first workload.
  std::function<void(const std::string&)> progress;
};

using Targets = std::map<std::string, std::unique_ptr<Target>>;

struct PhaseOutcome {
  // As in the schema of a run.
  nlohmann::json result;
  // With record_trace, of all workloads.
  std::vector<TraceEntry> trace;
};

// Runs the phase; blocks until it is over.
//   Unavailable  the metrics are not there
//   and what Load::Start() returns
absl::StatusOr<PhaseOutcome> RunPhase(const Phase& phase, Targets& targets,
                                      const PhaseOptions& options);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_RUN_PHASE_H_
