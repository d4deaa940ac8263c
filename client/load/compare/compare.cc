#include "client/load/compare/compare.h"

#include <cmath>
#include <cstddef>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/load/compare/statistics.h"
#include "kernels/base/quantile.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

using nlohmann::json;

constexpr size_t kMinSamples = 5;

struct Figure {
  const char* name;
  bool more_is_better;
};
constexpr Figure kFigures[] = {{"rate", true},
                               {"mean", false},
                               {"p50", false},
                               {"p99", false},
                               {"errors", false}};

// Samples of each figure, by "phase.workload".
using Samples =
    std::map<std::string, std::map<std::string, std::vector<double>>>;

Samples SamplesOf(const std::vector<json>& runs, bool by_run) {
  Samples samples;
  for (const json& run : runs) {
    for (const json& phase : run["phases"]) {
      for (const json& workload : phase["workloads"]) {
        auto& to = samples[absl::StrCat(phase["name"].get<std::string>(), ".",
                                        workload["name"].get<std::string>())];
        for (const Figure& figure : kFigures) {
          if (by_run) {
            to[figure.name].push_back(workload["figures"][figure.name]);
            continue;
          }
          for (const json& window : workload["windows"]) {
            to[figure.name].push_back(window[figure.name]);
          }
        }
      }
    }
  }
  return samples;
}

Change ChangeOf(const std::string& what, const std::vector<double>& before,
                const std::vector<double>& after, double alpha) {
  Change change;
  change.what = what;
  change.before = Median(before);
  change.after = Median(after);
  change.p_value = RankTest(before, after);
  if (change.before > 0 && change.after > 0) {
    change.ratio = change.after / change.before;
    const Interval interval = RatioInterval(before, after, alpha);
    change.low = interval.low;
    change.high = interval.high;
  }
  return change;
}

// "1.23 ms" for a latency, else a number.
std::string ValueText(const std::string& what, double value) {
  const std::string figure = what.substr(what.rfind('.') + 1);
  if (figure == "rate") return absl::StrFormat("%.0f/s", value);
  if (figure == "errors") return absl::StrFormat("%.6g", value);
  return absl::StrFormat("%.3f ms", value * 1e3);
}

const char* KindText(Change::Kind kind) {
  switch (kind) {
    case Change::Kind::kBetter:
      return "better";
    case Change::Kind::kWorse:
      return "WORSE";
    default:
      return "no change beyond noise";
  }
}

}  // namespace

absl::StatusOr<Comparison> Compare(const std::vector<json>& before,
                                   const std::vector<json>& after,
                                   const CompareOptions& options) {
  Comparison comparison;
  const bool by_run =
      before.size() >= kMinSamples && after.size() >= kMinSamples;
  comparison.samples = by_run ? "runs" : "windows";
  for (const std::vector<json>* side : {&before, &after}) {
    for (const json& run : *side) {
      if (run["verdict"] == "invalid") {
        comparison.remarks.push_back(absl::StrCat(
            side == &before ? "before" : "after",
            ": a run is invalid: its figures may be the generator's"));
      }
      if (run["machine"] != before[0]["machine"]) {
        comparison.remarks.push_back("the runs are of different machines");
      }
    }
  }
  const Samples old_samples = SamplesOf(before, by_run);
  const Samples new_samples = SamplesOf(after, by_run);
  std::vector<bool> more_is_better;
  for (const auto& [place, figures] : old_samples) {
    const auto other = new_samples.find(place);
    if (other == new_samples.end()) {
      comparison.remarks.push_back(absl::StrCat(place, ": only before"));
      continue;
    }
    const size_t least =
        std::min(figures.at("rate").size(), other->second.at("rate").size());
    if (least < kMinSamples) {
      comparison.remarks.push_back(
          absl::StrCat(place, ": ", least, " ", comparison.samples,
                       " are too few to tell, at least ", kMinSamples));
      continue;
    }
    for (const Figure& figure : kFigures) {
      comparison.changes.push_back(ChangeOf(
          absl::StrCat(place, ".", figure.name), figures.at(figure.name),
          other->second.at(figure.name), options.alpha));
      more_is_better.push_back(figure.more_is_better);
    }
  }
  if (comparison.changes.empty()) {
    return InvalidArgument(
        "nothing to compare: ",
        comparison.remarks.empty() ? "no phases" : comparison.remarks.back());
  }
  std::vector<double> p_values;
  for (const Change& change : comparison.changes) {
    p_values.push_back(change.p_value);
  }
  const std::vector<bool> significant = Significant(p_values, options.alpha);
  for (size_t i = 0; i < significant.size(); ++i) {
    Change& change = comparison.changes[i];
    const bool large = change.before > 0 && change.after > 0
                           ? std::abs(change.ratio - 1) > options.least_change
                           : change.before != change.after;
    if (!significant[i] || !large) continue;
    change.kind = (change.after > change.before) == more_is_better[i]
                      ? Change::Kind::kBetter
                      : Change::Kind::kWorse;
  }
  return comparison;
}

std::string ComparisonText(const Comparison& comparison) {
  std::string text = absl::StrFormat(
      "%-34s %14s %14s %7s %17s  %s\n", "median of the " + comparison.samples,
      "before", "after", "ratio", "interval", "verdict");
  for (const Change& change : comparison.changes) {
    absl::StrAppendFormat(&text, "%-34s %14s %14s %7.3f %8.3f-%8.3f  %s\n",
                          change.what, ValueText(change.what, change.before),
                          ValueText(change.what, change.after), change.ratio,
                          change.low, change.high, KindText(change.kind));
  }
  for (const std::string& remark : comparison.remarks) {
    absl::StrAppend(&text, "note: ", remark, "\n");
  }
  return text;
}

json ComparisonJson(const Comparison& comparison) {
  json changes = json::array();
  for (const Change& change : comparison.changes) {
    changes.push_back({{"what", change.what},
                       {"before", change.before},
                       {"after", change.after},
                       {"ratio", change.ratio},
                       {"interval", {change.low, change.high}},
                       {"p_value", change.p_value},
                       {"verdict", KindText(change.kind)}});
  }
  return {{"schema", "actload.comparison/1"},
          {"samples", comparison.samples},
          {"changes", changes},
          {"remarks", comparison.remarks}};
}

}  // namespace actserve
