#include "client/load/scenario/condition.h"

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/load/report/figures.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"

namespace actserve {
namespace {

using nlohmann::json;

absl::Status Unknown(const std::string& name, const std::string& what,
                     const std::vector<std::string>& known) {
  return InvalidArgument("figure ", Quoted(name), ": ", what, " is none of ",
                         absl::StrJoin(known, ", "));
}

std::vector<std::string> NamesOf(const json& array) {
  std::vector<std::string> names;
  for (const json& each : array) names.push_back(each["name"]);
  return names;
}

// The phase of that name, or the best step of the sweep; null: neither.
const json* FindPhase(const json& run, const std::string& name) {
  const json* best = nullptr;
  double best_rate = -1;
  for (const json& phase : run["phases"]) {
    if (phase["name"] == name) return &phase;
    if (phase["sweep"] != name || phase["workloads"].empty()) continue;
    const double rate = phase["workloads"][0]["figures"]["rate"];
    if (rate > best_rate) {
      best_rate = rate;
      best = &phase;
    }
  }
  return best;
}

const json* FindNamed(const json& array, const std::string& name) {
  const auto found =
      std::find_if(array.begin(), array.end(),
                   [&](const json& each) { return each["name"] == name; });
  return found == array.end() ? nullptr : &*found;
}

absl::StatusOr<double> ServerFigure(const json& phase, const std::string& name,
                                    const std::string& metric) {
  if (!phase.contains("server") || !phase["server"].contains("series")) {
    return InvalidArgument("figure ", Quoted(name),
                           ": the server's metrics were not asked (--metrics)");
  }
  const json& server = phase["server"];
  absl::string_view base = metric;
  for (const char* quantile : {"p50", "p99"}) {
    if (absl::ConsumeSuffix(&base, absl::StrCat(".", quantile))) {
      const auto& all = server["quantiles"];
      const std::string key(base);
      if (all.contains(key)) return all[key][quantile].get<double>();
    }
  }
  std::string which = "after";
  for (const char* suffix : {"before", "growth", "max", "rise"}) {
    if (absl::ConsumeSuffix(&base, absl::StrCat(".", suffix))) which = suffix;
  }
  bool found = false;
  double sum = 0;
  for (const auto& [series, values] : server["series"].items()) {
    if (series != std::string(base) &&
        !absl::StartsWith(series, absl::StrCat(base, "{"))) {
      continue;
    }
    found = true;
    const double after = values["after"];
    const double before = values["before"];
    sum += which == "growth" ? after - before
           : which == "rise" ? values.value("max", after) - before
                             : values.value(which, after);
  }
  if (found) return sum;
  return InvalidArgument("figure ", Quoted(name),
                         ": the server has no such metric");
}

absl::StatusOr<double> WorkloadFigure(const json& workload,
                                      const std::string& name,
                                      const std::string& figure) {
  for (const char* field : {"code", "reason"}) {
    absl::string_view value = figure;
    if (!absl::ConsumePrefix(&value, absl::StrCat(field, "."))) continue;
    double sum = 0;
    for (const json& each : workload["codes"]) {
      if (each[field] == std::string(value)) sum += each["count"].get<double>();
    }
    return sum;
  }
  const json& figures = workload["figures"];
  if (!figures.contains(figure)) {
    return Unknown(name, Quoted(figure), FigureNames());
  }
  return figures[figure].get<double>();
}

}  // namespace

absl::StatusOr<Condition> ParseCondition(const std::string& text) {
  Condition condition;
  condition.text = text;
  const std::vector<std::string> words =
      absl::StrSplit(text, ' ', absl::SkipEmpty());
  const auto at =
      std::find_if(words.begin(), words.end(), [](const auto& word) {
        return word == "<=" || word == "<" || word == ">=" || word == ">" ||
               word == "==" || word == "!=";
      });
  if (at != words.begin() && at != words.end()) {
    condition.comparison = *at;
    auto value = ParseTerm(absl::StrJoin(words.begin(), at, " "));
    auto limit = ParseTerm(absl::StrJoin(at + 1, words.end(), " "));
    for (const auto* term : {&value, &limit}) {
      if (!term->ok()) {
        return InvalidArgument("condition ", Quoted(text), ": ",
                               term->status().message());
      }
    }
    condition.value = *std::move(value);
    condition.limit = *std::move(limit);
    return condition;
  }
  return InvalidArgument("condition ", Quoted(text),
                         " is not VALUE COMPARISON VALUE, such as "
                         "\"p99 <= 10ms\", with a comparison of <=, <, >=, >, "
                         "==, !=");
}

absl::StatusOr<double> FigureIn(const json& run, const std::string& name) {
  std::vector<std::string> words = absl::StrSplit(name, '.');
  if (run["phases"].empty()) {
    return InvalidArgument("figure ", Quoted(name), ": no phase has run yet");
  }
  const json* phase = FindPhase(run, words[0]);
  if (phase != nullptr && words.size() > 1) {
    words.erase(words.begin());
  } else {
    phase = &run["phases"].back();
  }
  if (words[0] == "server" && words.size() > 1) {
    return ServerFigure(*phase, name,
                        absl::StrJoin(words.begin() + 1, words.end(), "."));
  }
  if (words[0] == "generator" && words.size() == 2 &&
      (*phase)["generator"].contains(words[1])) {
    return (*phase)["generator"][words[1]].get<double>();
  }
  const json& workloads = (*phase)["workloads"];
  const json* workload = FindNamed(workloads, words[0]);
  if (workload != nullptr && words.size() > 1) {
    words.erase(words.begin());
  } else if (workloads.size() == 1) {
    workload = &workloads[0];
  } else {
    return Unknown(name, Quoted(words[0]), NamesOf(workloads));
  }
  return WorkloadFigure(*workload, name, absl::StrJoin(words, "."));
}

absl::StatusOr<double> ValueIn(const json& run, const Term& term) {
  double value = 1;
  for (const Term::Factor& factor : term.factors) {
    double next = factor.number;
    if (!factor.figure.empty()) {
      ACTSERVE_ASSIGN_OR_RETURN(next, FigureIn(run, factor.figure));
    }
    value = factor.divides ? value / next : value * next;
  }
  return value;
}

absl::StatusOr<json> Judge(const json& run, const Condition& condition) {
  ACTSERVE_ASSIGN_OR_RETURN(const double value, ValueIn(run, condition.value));
  ACTSERVE_ASSIGN_OR_RETURN(const double limit, ValueIn(run, condition.limit));
  const std::string& comparison = condition.comparison;
  const bool passed = comparison == "<="   ? value <= limit
                      : comparison == "<"  ? value < limit
                      : comparison == ">=" ? value >= limit
                      : comparison == ">"  ? value > limit
                      : comparison == "==" ? value == limit
                                           : value != limit;
  return json{{"text", condition.text},
              {"value", value},
              {"limit", limit},
              {"passed", passed}};
}

}  // namespace actserve
