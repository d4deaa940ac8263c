#ifndef ACTSERVE_CLIENT_LOAD_RUN_STABILITY_H_
#define ACTSERVE_CLIENT_LOAD_RUN_STABILITY_H_

#include <vector>

namespace actserve {

// When a load has settled, by perf_analyzer's rule.
struct StabilityRule {
  // The greatest of the last `windows` is at most 1 + `change` times the
  // smallest, in rate and in mean latency.
  double change = 0.1;
  int windows = 3;
  // The most windows that are tried.
  int max_windows = 10;
};

struct WindowFigures {
  double rate = 0;
  double mean_latency = 0;
};

// Returns whether the last windows of `windows` fulfill `rule`.
bool IsStable(const std::vector<WindowFigures>& windows,
              const StabilityRule& rule);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_RUN_STABILITY_H_
