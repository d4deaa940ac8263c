// `actload compare`.

#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/load/command/commands.h"
#include "client/load/command/deliver.h"
#include "client/load/compare/compare.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

absl::StatusOr<std::vector<nlohmann::json>> ReadRuns(const std::string& files) {
  std::vector<nlohmann::json> runs;
  for (const std::string& file :
       std::vector<std::string>(absl::StrSplit(files, ','))) {
    ACTSERVE_ASSIGN_OR_RETURN(runs.emplace_back(), ReadRun(file));
  }
  return runs;
}

}  // namespace

absl::StatusOr<int> CompareCommand(const CompareFlags& flags) {
  ACTSERVE_ASSIGN_OR_RETURN(const auto before, ReadRuns(flags.before));
  ACTSERVE_ASSIGN_OR_RETURN(const auto after, ReadRuns(flags.after));
  CompareOptions options;
  options.alpha = flags.alpha;
  options.least_change = flags.least_change;
  ACTSERVE_ASSIGN_OR_RETURN(const Comparison comparison,
                            Compare(before, after, options));
  std::cout << ComparisonText(comparison);
  if (!flags.json_file.empty()) {
    ACTSERVE_RETURN_IF_ERROR(
        WriteFile(flags.json_file,
                  absl::StrCat(ComparisonJson(comparison).dump(1), "\n")));
  }
  int code = kPassed;
  bool changed = false;
  for (const Change& change : comparison.changes) {
    changed = changed || change.kind != Change::Kind::kNone;
    if (change.kind == Change::Kind::kWorse) code = kWorse;
  }
  if (!changed) std::cout << "no change beyond noise\n";
  return code;
}

}  // namespace actserve
