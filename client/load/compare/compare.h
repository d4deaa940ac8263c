#ifndef ACTSERVE_CLIENT_LOAD_COMPARE_COMPARE_H_
#define ACTSERVE_CLIENT_LOAD_COMPARE_COMPARE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace actserve {

struct CompareOptions {
  double alpha = 0.01;
  // A smaller change, as a share, is not told.
  double least_change = 0.03;
};

// A figure of a workload in a phase, before and after.
struct Change {
  enum class Kind { kNone, kBetter, kWorse };
  std::string what;  // "poisson70.main.p99"
  double before = 0;
  double after = 0;
  // After by before, and where it lies; 1 if a side has no samples above 0.
  double ratio = 1;
  double low = 1;
  double high = 1;
  double p_value = 1;
  Kind kind = Kind::kNone;
};

struct Comparison {
  // "windows", or "runs" where each side has at least 5.
  std::string samples;
  std::vector<Change> changes;
  // What cannot be compared, and why.
  std::vector<std::string> remarks;
};

// Compares rate, errors and latencies of the phases and workloads that both
// sides have. The samples are the windows of one or more runs; they show the
// noise within a run. With 5 runs a side the samples are the runs, which shows
// the noise between them too. Something is better or worse if the ranks differ
// (RankTest), by more than `least_change`.
//   InvalidArgument  there is nothing to compare: no common phase, or less than
//                    5 windows
absl::StatusOr<Comparison> Compare(const std::vector<nlohmann::json>& before,
                                   const std::vector<nlohmann::json>& after,
                                   const CompareOptions& options);

std::string ComparisonText(const Comparison& comparison);
nlohmann::json ComparisonJson(const Comparison& comparison);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_COMPARE_COMPARE_H_
