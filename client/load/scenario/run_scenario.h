#ifndef ACTSERVE_CLIENT_LOAD_SCENARIO_RUN_SCENARIO_H_
#define ACTSERVE_CLIENT_LOAD_SCENARIO_RUN_SCENARIO_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/server_flags.h"
#include "client/load/run/phase.h"
#include "client/load/scenario/scenario.h"
#include "nlohmann/json.hpp"

namespace actserve {

struct RunOptions {
  ServerFlags server;
  PhaseOptions phase;
  // As the user gave it, for the report.
  std::vector<std::string> command_line;
  // Called when a phase begins.
  std::function<void(const std::string& phase)> on_phase;
};

// What a scenario is run with: the clients, and the run so far.
class ScenarioRun {
 public:
  // Connects, and makes the tensors and the right answers.
  static absl::StatusOr<std::unique_ptr<ScenarioRun>> Prepare(
      const Scenario& scenario, const RunOptions& options);

  // Runs a phase, and adds it to the run.
  absl::Status Run(const Phase& phase);
  // Runs the template: the phase once for each step of its sweep.
  //   InvalidArgument  a rate depends on a figure that does not exist
  absl::Status Run(const PhaseTemplate& phase);
  // Judges the conditions, and sets the verdict: "invalid", "failed" or
  // "passed".
  absl::Status Finish(const std::vector<Condition>& conditions);

  const nlohmann::json& result() const { return result_; }
  nlohmann::json& mutable_result() { return result_; }
  const std::vector<TraceEntry>& trace() const { return trace_; }

 private:
  explicit ScenarioRun(const RunOptions& options) : options_(options) {}

  const RunOptions options_;
  Targets targets_;
  nlohmann::json result_;
  std::vector<TraceEntry> trace_;
};

// All of it.
absl::StatusOr<std::unique_ptr<ScenarioRun>> RunScenario(
    const Scenario& scenario, const RunOptions& options);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_SCENARIO_RUN_SCENARIO_H_
