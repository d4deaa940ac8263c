#include "client/load/scenario/scenario.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/load/scenario/condition.h"
#include "client/load/scenario/find_peak.h"
#include "gtest/gtest.h"

namespace actserve {
namespace {

using nlohmann::json;

constexpr char kText[] = R"({
  // Remarks are allowed.
  "schema": "actload.scenario/1",
  "name": "example",
  "seed": 7,
  "workloads": [
    {"name": "good", "address": "${SERVER}", "connections": 2,
     "requests": [
       {"kind": "residual", "activation": "gelu", "dtype": "float16",
        "shapes": [{"shape": [4, 8], "weight": 2}, {"shape": [16]}]},
       {"text": "def f(x):\n    return x\n", "name": "mine",
        "uniform_elements": {"from": 0.5, "to": 16}}]},
    {"name": "bad", "requests": [{"kind": "hostile"}],
     "allow": ["UNAVAILABLE"]}
  ],
  "phases": [
    {"name": "peak", "warmup": 2, "window": 1,
     "until_stable": {"change": 0.1},
     "loads": {"good": {"closed": [1, 2, 4]}}},
    {"name": "half", "seconds": 60,
     "loads": {"good": {"rate": "0.5 * peak.rate", "max_in_flight": 9},
               "bad": {"rate": 10, "arrivals": "constant"}}},
    {"name": "steps", "warmup": 0,
     "loads": {"good": {"segments": [{"seconds": 5, "rate": 100},
                                     {"rate": 100, "to_rate": 200}]}}}
  ],
  "conditions": ["half.good.p99 <= 10ms", "half.good.errors == 0"]
})";

absl::StatusOr<Scenario> Parse(const std::string& text, double scale = 1) {
  return ParseScenario(
      absl::StrReplaceAll(text, {{"from\": 0.5", "from\": 1"}}), "/",
      {{"SERVER", "host:1"}}, scale);
}

TEST(Scenario, ReadsEveryField) {
  const auto scenario = Parse(kText);

  ASSERT_TRUE(scenario.ok()) << scenario.status();
  EXPECT_EQ(scenario->name, "example");
  EXPECT_EQ(scenario->seed, 7u);
  const WorkloadSpec& good = scenario->workloads[0];
  EXPECT_EQ(good.address, "host:1");
  EXPECT_EQ(good.connections, 2);
  EXPECT_EQ(good.requests[0].name, "residual:gelu:float16");
  EXPECT_EQ(good.requests[0].shapes[0].shape, (std::vector<int64_t>{4, 8}));
  EXPECT_EQ(good.requests[0].shapes[0].weight, 2);
  EXPECT_EQ(good.requests[1].shapes.size(), 16u);
  EXPECT_EQ(scenario->workloads[1].requests[0].expect, "INVALID_ARGUMENT");
  EXPECT_EQ(scenario->phases[0].loads.at("good").sweep,
            (std::vector<int>{1, 2, 4}));
  EXPECT_TRUE(scenario->phases[0].phase.until_stable.has_value());
  EXPECT_EQ(scenario->phases[1].loads.at("good").rate.factors[1].figure,
            "peak.rate");
  EXPECT_EQ(scenario->phases[1].loads.at("good").plan.max_in_flight, 9);
  EXPECT_FALSE(scenario->phases[1].loads.at("bad").plan.arrivals.poisson);
  const auto& segments =
      scenario->phases[2].loads.at("good").plan.arrivals.segments;
  EXPECT_EQ(segments[1].to_rate, 200);
  EXPECT_EQ(*NumberOf(scenario->conditions[0].limit), 0.01);
}

TEST(Scenario, ScalesEveryDuration) {
  const auto scenario = Parse(kText, 0.1);

  ASSERT_TRUE(scenario.ok()) << scenario.status();
  EXPECT_DOUBLE_EQ(scenario->phases[1].phase.seconds, 6);
  EXPECT_DOUBLE_EQ(scenario->phases[0].phase.warmup_seconds, 0.2);
  EXPECT_DOUBLE_EQ(
      scenario->phases[2].loads.at("good").plan.arrivals.segments[0].seconds,
      0.5);
}

// Each row replaces something in the scenario by something wrong.
TEST(Scenario, SaysWhatIsWrongWithItsValueAndTheLimit) {
  struct Case {
    std::string from;
    std::string to;
    std::string message;
  };
  const Case cases[] = {
      {"scenario/1", "scenario/9",
       "schema: 'actload.scenario/9' is not \"actload.scenario/1\""},
      {"\"seed\": 7", "\"seed\": -7", "seed: -7, limits 0 and 9.0072e+15"},
      {"\"seconds\": 60", "\"seconds\": 0",
       "phases[1].seconds: 0, limits 0.01 and 604800"},
      {"\"seconds\": 60", "\"second\": 60",
       "phases[1].second: no such field; there are loads, max_blocked, name, "
       "seconds, until_stable, warmup, window"},
      {"\"connections\": 2", "\"connections\": 65",
       "workloads[0].connections: 65, limits 1 and 64"},
      {"\"connections\": 2", "\"connections\": \"2\"",
       "workloads[0].connections: \"2\" is not a number"},
      {"\"kind\": \"residual\"", "\"kind\": \"residuals\"",
       "workloads[0].requests[0].kind: kind 'residuals' is none of forward, "
       "stream, partials, residual, stateless, register, hostile, echo"},
      {"\"shape\": [4, 8]", "\"shape\": [4, -8]",
       "workloads[0].requests[0].shapes[0]: "
       "workloads[0].requests[0].shapes[0].shape: -8 is no size of a "
       "dimension"},
      {"[1, 2, 4]", "[1, 5000]",
       "phases[0].loads.good.closed: 5000 in flight, limits 1 and 4096"},
      {"0.5 * peak.rate", "0.5 times peak",
       "phases[1].loads.good.rate: '0.5 times peak' is not a number or "
       "figure, or several with * or / between them"},
      {"\"rate\": 10,", "\"rate\": 0,",
       "phases[1].loads.bad.rate: 0, limits above 0 and 1e+07"},
      {"\"rate\": 10,", "\"rate\": 10, \"closed\": 1,",
       "phases[1].loads.bad: give one of closed, rate, segments, trace"},
      {"\"constant\"", "\"regular\"",
       "phases[1].loads.bad.arrivals: 'regular' is none of poisson, constant"},
      {"\"bad\": {\"rate\"", "\"worse\": {\"rate\"",
       "phases[1].loads: 'worse' is no workload; there are good, bad"},
      {"\"name\": \"bad\"", "\"name\": \"good\"",
       "workloads[1].name: 'good' is given twice"},
      {"\"name\": \"half\"", "\"name\": \"ha.lf\"",
       "phases[1].name: 'ha.lf' is empty, or has a dot or a space"},
      {"${SERVER}", "${SERVR}",
       "${SERVR} has no value: give --define SERVR=VALUE"},
      {"p99 <= 10ms", "p99 ~ 10ms",
       "condition 'half.good.p99 ~ 10ms' is not VALUE COMPARISON VALUE, such "
       "as \"p99 <= 10ms\", with a comparison of <=, <, >=, >, ==, !="}};
  for (const Case& each : cases) {
    SCOPED_TRACE(each.to);
    const std::string text = absl::StrReplaceAll(kText, {{each.from, each.to}});
    ASSERT_NE(text, kText);

    EXPECT_EQ(Parse(text).status(), absl::InvalidArgumentError(each.message));
  }
}

TEST(Scenario, RefusesWhatIsNoJson) {
  EXPECT_FALSE(Parse("{").ok());
  EXPECT_EQ(Parse("[]").status(),
            absl::InvalidArgumentError("scenario: not an object"));
}

TEST(Quantity, HasUnits) {
  EXPECT_EQ(*ParseQuantity("10ms"), 0.01);
  EXPECT_EQ(*ParseQuantity("32 MiB"), 32 << 20);
  EXPECT_DOUBLE_EQ(*ParseQuantity("95%"), 0.95);
  EXPECT_EQ(*ParseQuantity("-1.5"), -1.5);
  EXPECT_FALSE(ParseQuantity("10 m").ok());
  EXPECT_FALSE(ParseQuantity("ms").ok());
  EXPECT_FALSE(ParseQuantity("inf").ok());
}

TEST(Slo, IsAFigureAndATime) {
  EXPECT_EQ(ParseSlo("p99=10ms")->seconds, 0.01);
  EXPECT_FALSE(ParseSlo("p99").ok());
  EXPECT_FALSE(ParseSlo("p98=1ms").ok());
  EXPECT_FALSE(ParseSlo("p99=-1ms").ok());
}

json Workload(const std::string& name, double rate) {
  return {{"name", name},
          {"figures", {{"rate", rate}, {"p99", 0.002}}},
          {"codes",
           {{{"code", "OK"}, {"reason", ""}, {"count", 5}},
            {{"code", "RESOURCE_EXHAUSTED"}, {"reason", "queue"}, {"count", 3}},
            {{"code", "RESOURCE_EXHAUSTED"}, {"reason", ""}, {"count", 1}}}}};
}

json Example() {
  return {{"phases",
           {{{"name", "peak/1"},
             {"sweep", "peak"},
             {"workloads", {Workload("main", 100)}}},
            {{"name", "peak/2"},
             {"sweep", "peak"},
             {"workloads", {Workload("main", 300)}}},
            {{"name", "two"},
             {"sweep", ""},
             {"workloads", {Workload("a", 10), Workload("b", 20)}},
             {"generator", {{"cpu_share", 0.25}}},
             {"server",
              {{"series",
                {{"m{l=\"1\"}", {{"before", 1}, {"after", 5}, {"max", 9}}},
                 {"m{l=\"2\"}", {{"before", 1}, {"after", 2}, {"max", 2}}},
                 {"mm", {{"before", 0}, {"after", 100}, {"max", 100}}}}},
               {"quantiles", {{"h", {{"p50", 1}, {"p99", 7}}}}}}}}}}};
}

TEST(Figure, IsFoundByPhaseAndWorkload) {
  const json run = Example();

  EXPECT_EQ(*FigureIn(run, "peak/1.rate"), 100);
  EXPECT_EQ(*FigureIn(run, "peak.rate"), 300);
  EXPECT_EQ(*FigureIn(run, "peak.main.p99"), 0.002);
  EXPECT_EQ(*FigureIn(run, "two.b.rate"), 20);
  EXPECT_EQ(*FigureIn(run, "b.rate"), 20);
  EXPECT_EQ(*FigureIn(run, "two.a.code.RESOURCE_EXHAUSTED"), 4);
  EXPECT_EQ(*FigureIn(run, "two.a.reason.queue"), 3);
  EXPECT_EQ(*FigureIn(run, "two.generator.cpu_share"), 0.25);
  EXPECT_EQ(*FigureIn(run, "two.server.m"), 7);
  EXPECT_EQ(*FigureIn(run, "two.server.m.growth"), 5);
  EXPECT_EQ(*FigureIn(run, "two.server.m{l=\"1\"}.max"), 9);
  EXPECT_EQ(*FigureIn(run, "two.server.m.rise"), 9);
  EXPECT_EQ(*FigureIn(run, "two.server.h.p99"), 7);
  EXPECT_FALSE(FigureIn(run, "two.rate").ok());
  EXPECT_FALSE(FigureIn(run, "peak.p98").ok());
  EXPECT_FALSE(FigureIn(run, "two.server.none").ok());
  EXPECT_FALSE(FigureIn(run, "peak.server.m").ok());
}

TEST(Condition, ComparesWithNumbersAndFigures) {
  const json run = Example();
  struct Case {
    std::string text;
    bool passed;
  };
  const Case cases[] = {{"peak.p99 <= 2ms", true},
                        {"peak.p99 < 2ms", false},
                        {"two.b.rate >= 0.06 * peak.rate", true},
                        {"two.b.rate > 0.07 * peak.rate", false},
                        {"two.a.rate != two.b.rate", true},
                        {"two.b.rate / two.a.rate == 2 * 1", true},
                        {"two.b.rate / two.a.rate < 4 / 2", false},
                        {"two.a.rate == 10", true}};
  for (const Case& each : cases) {
    SCOPED_TRACE(each.text);
    const auto condition = ParseCondition(each.text);
    ASSERT_TRUE(condition.ok()) << condition.status();
    const auto judged = Judge(run, *condition);
    ASSERT_TRUE(judged.ok()) << judged.status();
    EXPECT_EQ((*judged)["passed"], each.passed);
  }
}

}  // namespace
}  // namespace actserve
