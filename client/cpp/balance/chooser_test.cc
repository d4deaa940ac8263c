// Runs the table that the Python client's test runs too.

#include "client/cpp/balance/chooser.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "nlohmann/json.hpp"

namespace actserve {
namespace {

Outcome OutcomeNamed(const std::string& name) {
  if (name == "answered") return Outcome::kAnswered;
  if (name == "lost") return Outcome::kLost;
  if (name == "full") return Outcome::kFull;
  EXPECT_EQ(name, "dropped");
  return Outcome::kDropped;
}

struct Begun {
  size_t replica;
  Standing::Attempt attempt;
};

// The index that Choose() gives among those not `tried`, -1 for none.
int Chosen(const std::vector<Standing>& standings,
           const std::vector<size_t>& tried, absl::Time now, size_t& turn) {
  std::vector<const Standing*> candidates;
  for (size_t i = 0; i < standings.size(); ++i) {
    candidates.push_back(absl::c_linear_search(tried, i) ? nullptr
                                                         : &standings[i]);
  }
  const auto chosen = Choose(candidates, now, turn);
  return chosen ? static_cast<int>(*chosen) : -1;
}

void RunScenario(const nlohmann::json& scenario) {
  std::vector<Standing> standings(scenario["replicas"].get<size_t>());
  std::map<std::string, Begun> begun;
  size_t turn = scenario.value("turn", 0);
  absl::Time now = absl::UnixEpoch();
  for (const auto& step : scenario["steps"]) {
    SCOPED_TRACE(step.dump());
    if (step.contains("at")) {
      now = absl::UnixEpoch() + absl::Seconds(step["at"].get<double>());
    }
    if (step.contains("end")) {
      const Begun& ended = begun.at(step["end"].get<std::string>());
      standings[ended.replica].End(
          ended.attempt, OutcomeNamed(step["as"].get<std::string>()), now,
          absl::Seconds(step.value("pushback", 0.0)));
      continue;
    }
    int replica = step.value("prefer", -1);
    if (replica < 0) {
      const auto tried = step.value("tried", std::vector<size_t>());
      replica = Chosen(standings, tried, now, turn);
    }
    ASSERT_EQ(replica, step["on"].get<int>());
    if (replica >= 0) {
      begun[step["begin"].get<std::string>()] = {static_cast<size_t>(replica),
                                                 standings[replica].Begin(now)};
    }
  }
}

TEST(Chooser, FollowsTheTable) {
  std::ifstream file(ACTSERVE_CHOICES);
  const nlohmann::json table = nlohmann::json::parse(file);
  ASSERT_GT(table.size(), 10);
  for (const auto& scenario : table) {
    SCOPED_TRACE(scenario["name"].get<std::string>());
    RunScenario(scenario);
  }
}

}  // namespace
}  // namespace actserve
