// Loads over a server of generated code that answers when the test wants.

#include "client/load/run/load.h"

#include <chrono>
#include <thread>

#include "client/cpp/testing/fake_server.h"
#include "client/load/run/phase.h"
#include "client/load/schedule/clock.h"
#include "gtest/gtest.h"

namespace actserve {
namespace {

using nlohmann::json;
using testing::FakeServer;

WorkloadSpec Workload() {
  WorkloadSpec spec;
  spec.requests.push_back(*ParseRequestFlag("forward:relu:float32:16"));
  spec.verify = 0;
  return spec;
}

Targets TargetsTo(const FakeServer& server, const WorkloadSpec& spec) {
  ServerFlags flags;
  flags.address = server.address();
  auto target = Target::Connect(spec, flags, /*local=*/nullptr, /*seed=*/1);
  EXPECT_TRUE(target.ok()) << target.status();
  Targets targets;
  targets["main"] = *std::move(target);
  return targets;
}

Phase PhaseOf(double seconds, LoadPlan plan) {
  Phase phase;
  phase.name = "load";
  phase.seconds = seconds;
  phase.warmup_seconds = 0;
  phase.window_seconds = 0.1;
  phase.loads["main"] = std::move(plan);
  return phase;
}

LoadPlan OpenPlan(double rate, int max_in_flight) {
  LoadPlan plan;
  plan.kind = LoadPlan::Kind::kOpen;
  plan.arrivals = {false, {{.from_rate = rate, .to_rate = rate}}};
  plan.max_in_flight = max_in_flight;
  return plan;
}

json RunOnce(Targets& targets, const Phase& phase) {
  PhaseOptions options;
  options.max_lag_seconds = 10;  // the test's machine may be busy
  auto outcome = RunPhase(phase, targets, options);
  EXPECT_TRUE(outcome.ok()) << outcome.status();
  return outcome->result;
}

// A server that stalls once for half a second of two.
class StallingServer {
 public:
  StallingServer() {
    server.forward = [this](grpc::ServerContext*, const v1::ForwardRequest& in,
                            v1::ForwardResponse& out) {
      const auto begin = std::chrono::steady_clock::now();
      if (num_calls++ == 0) first_ = begin;
      const auto since = begin - first_;
      if (since > std::chrono::milliseconds(300) &&
          since < std::chrono::milliseconds(800)) {
        std::this_thread::sleep_until(first_ + std::chrono::milliseconds(800));
      }
      *out.mutable_output() = in.inputs(0);
      out.add_payload(in.payload(0));
      return grpc::Status::OK;
    };
  }
  FakeServer server;
  std::atomic<int> num_calls = 0;

 private:
  std::chrono::steady_clock::time_point first_;
};

// A closed loop sends nothing while the server stalls, so that a stall of a
// third of the time is one slow call of thousands: coordinated omission. An
// open loop counts what was due meanwhile, also where 4 callers are too few to
// send it.
TEST(Load, AStallShowsInAnOpenLoopAndHidesInAClosedOne) {
  for (const int max_in_flight : {4, 200}) {
    SCOPED_TRACE(max_in_flight);
    StallingServer stalling;
    Targets targets = TargetsTo(stalling.server, Workload());
    const json open =
        RunOnce(targets, PhaseOf(1.5, OpenPlan(200, max_in_flight)));

    const json& figures = open["workloads"][0]["figures"];
    EXPECT_NEAR(figures["count"].get<int>(), 300, 2);
    EXPECT_EQ(figures["errors"], 0);
    // A third of the requests was due during the stall, evenly over its half
    // second: the quantile 0.9 waited for 0.35 s or longer.
    EXPECT_GT(figures["p90"], 0.3);
    EXPECT_GT(figures["p99"], 0.45);
  }
  StallingServer stalling;
  Targets targets = TargetsTo(stalling.server, Workload());
  LoadPlan closed;
  closed.in_flight = 1;
  const json result = RunOnce(targets, PhaseOf(1.5, closed));
  EXPECT_LT(result["workloads"][0]["figures"]["p99"], 0.3);
  EXPECT_GT(result["workloads"][0]["figures"]["max"], 0.4);
}

TEST(Load, IsInvalidWhereCallersAreTooFew) {
  FakeServer server;
  server.forward = [](grpc::ServerContext*, const v1::ForwardRequest& in,
                      v1::ForwardResponse& out) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    *out.mutable_output() = in.inputs(0);
    out.add_payload(in.payload(0));
    return grpc::Status::OK;
  };
  Targets targets = TargetsTo(server, Workload());

  const json result = RunOnce(targets, PhaseOf(0.3, OpenPlan(300, 2)));

  ASSERT_EQ(result["invalid"].size(), 1u);
  EXPECT_NE(result["invalid"][0].get<std::string>().find(
                "found all 2 callers waiting, limit 1.0 % (--max_in_flight)"),
            std::string::npos);
  // 2 callers get 100 answers in a second; the rest was never sent.
  const json& figures = result["workloads"][0]["figures"];
  EXPECT_GT(figures["unsent"], 30);
  EXPECT_EQ(figures["unexpected"], figures["unsent"]);
  EXPECT_LT(figures["achieved"], 0.7);
}

TEST(Load, CountsErrorsByCodeAndReason) {
  FakeServer server;
  std::atomic<int> number = 0;
  server.forward = [&](grpc::ServerContext*, const v1::ForwardRequest& in,
                       v1::ForwardResponse& out) {
    if (number++ % 2 == 0) {
      return testing::StatusWithReason(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                       "full", "queue");
    }
    *out.mutable_output() = in.inputs(0);
    out.add_payload(in.payload(0));
    return grpc::Status::OK;
  };
  WorkloadSpec spec = Workload();
  spec.allow = {"RESOURCE_EXHAUSTED"};
  Targets targets = TargetsTo(server, spec);

  const json result = RunOnce(targets, PhaseOf(0.2, OpenPlan(200, 8)));

  const json& workload = result["workloads"][0];
  EXPECT_NEAR(workload["figures"]["ok"].get<int>(), 20, 2);
  EXPECT_NEAR(workload["figures"]["errors"].get<int>(), 20, 2);
  EXPECT_EQ(workload["figures"]["unexpected"], 0);
  ASSERT_EQ(workload["codes"].size(), 2u);
  EXPECT_EQ(workload["codes"][1]["code"], "RESOURCE_EXHAUSTED");
  EXPECT_EQ(workload["codes"][1]["reason"], "queue");
}

TEST(Load, ATraceRepeatsWhatWasSent) {
  FakeServer server;
  WorkloadSpec spec = Workload();
  spec.requests.push_back(*ParseRequestFlag("forward:gelu:float32:4"));
  Targets targets = TargetsTo(server, spec);
  PhaseOptions options;
  options.max_lag_seconds = 10;
  options.record_trace = true;
  LoadPlan plan = OpenPlan(300, 16);
  plan.arrivals.poisson = true;
  const auto recorded = RunPhase(PhaseOf(0.2, plan), targets, options);
  ASSERT_TRUE(recorded.ok()) << recorded.status();
  LoadPlan replay;
  replay.kind = LoadPlan::Kind::kReplay;
  replay.trace = recorded->trace;

  const auto repeated = RunPhase(PhaseOf(0.3, replay), targets, options);

  ASSERT_TRUE(repeated.ok()) << repeated.status();
  EXPECT_GT(recorded->trace.size(), 20u);
  EXPECT_EQ(TraceText(repeated->trace), TraceText(recorded->trace));
}

}  // namespace
}  // namespace actserve
