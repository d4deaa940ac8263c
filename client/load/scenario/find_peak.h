#ifndef ACTSERVE_CLIENT_LOAD_SCENARIO_FIND_PEAK_H_
#define ACTSERVE_CLIENT_LOAD_SCENARIO_FIND_PEAK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/load/scenario/run_scenario.h"

namespace actserve {

// A limit on latency.
struct Slo {
  std::string figure = "p99";
  double seconds = 0.01;
};

// "p99=10ms".
//   InvalidArgument  another form, or a figure that is no latency
absl::StatusOr<Slo> ParseSlo(const std::string& text);

struct PeakSearch {
  Slo slo;
  std::string workload = "main";
  int max_in_flight = 256;
  double window_seconds = 1;
  double precision = 0.05;
};

// Adds the phases of the search to `run`: a closed loop with twice as many
// callers each time, until the rate grows no more; then open loops with Poisson
// arrivals, by bisection. A rate holds if the limit does, no call failed, and
// the run is valid. Sets "peak" and the verdict: "failed" if no rate holds,
// "invalid" if the generator ended the search.
absl::Status FindPeak(const PeakSearch& search, ScenarioRun& run);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_SCENARIO_FIND_PEAK_H_
