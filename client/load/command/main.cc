// actload: how much a server bears, and how fast it answers meanwhile.

#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "client/cli/server_flags.h"
#include "client/load/command/commands.h"
#include "kernels/base/process_options.h"

namespace actserve {
namespace {

constexpr char kExitCodes[] =
    "Exit codes: 0 done, all conditions hold; 1 it failed, and standard error "
    "says why; 2 the command line is wrong; 3 a condition does not hold, or an "
    "answer was wrong; 4 the run is invalid, because this program was the "
    "limit; 5 compare: slower beyond noise.";

struct CommandLine {
  ServerFlags server;
  RunFlags run;
  FindPeakFlags find_peak;
  CompareFlags compare;
  ReportFlags report;
  std::string shown_run;
  std::function<absl::StatusOr<int>()> action;
};

void AddRequestFlags(CLI::App& command, RequestFlags& flags) {
  command
      .add_option(
          "--request", flags.requests,
          "A request of the mix; repeatable. Kinds: forward; stream, a Forward "
          "in chunks; partials, residual, stateless: a train step by each way "
          "to a gradient; register; hostile; echo, for echo_server. The shape "
          "is SIZExSIZE...; what is left out at the end is relu, float32, 1024 "
          "and weight 1; default: forward")
      ->type_name("KIND:ACTIVATION:DTYPE:SHAPE:WEIGHT")
      ->allow_extra_args(false);
  command
      .add_option("--connections", flags.connections,
                  "Connections to each server")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command.add_flag("--shared_memory", flags.shared_memory,
                   "Share memory with a server at a unix socket, and keep "
                   "tensors there");
  command
      .add_option("--max_attempts", flags.max_attempts,
                  "How often a call is sent to each replica at most; 1: errors "
                  "are counted and not tried again")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command
      .add_option("--verify", flags.verify,
                  "The share of the answers that are compared, bit for bit, "
                  "with those of this process; 0: none")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      .add_option("--seed", flags.seed,
                  "The same seed sends the same tensors at the same times")
      ->capture_default_str();
}

void AddReportFlags(CLI::App& command, ReportFlags& flags) {
  command
      .add_option("--metrics", flags.metrics_address,
                  "Where the server serves metrics (actserved --metrics), to "
                  "show them beside the client's")
      ->type_name("HOST:PORT");
  command
      .add_option("--condition", flags.conditions,
                  "What must hold, such as \"p99 <= 10ms\" or \"errors == 0\"; "
                  "repeatable")
      ->type_name("\"FIGURE <= VALUE\"")
      ->allow_extra_args(false);
  command.add_option("--json", flags.json_file, "Where to write all figures")
      ->type_name("FILE");
  command
      .add_option("--html", flags.html_file,
                  "Where to write a report with plots; it needs no network")
      ->type_name("FILE");
  command
      .add_option("--max_lag", flags.max_lag_seconds,
                  "In an open loop: limit on the p99 of how late requests are "
                  "sent though callers are free; beyond it the run is invalid")
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_flag("--announce", flags.announce,
                   "Print a line to standard error when a phase begins");
}

template <typename Action>
CLI::App& AddCommand(CLI::App& app, CommandLine& line, const std::string& name,
                     const std::string& description, Action action) {
  CLI::App& command = *app.add_subcommand(name, description);
  command.callback([&line, action] { line.action = action; });
  return command;
}

void AddScenarioFlags(CLI::App& command, RunFlags& flags) {
  command
      .add_option("scenario", flags.scenario_file,
                  "A file that says what to send and what must come of it; "
                  "without it, the flags below do")
      ->type_name("FILE");
  command
      .add_option_function<std::vector<std::string>>(
          "--define",
          [&flags](const std::vector<std::string>& definitions) {
            for (const std::string& each : definitions) {
              const size_t equals = each.find('=');
              if (equals == std::string::npos || equals == 0) {
                throw CLI::ValidationError("--define",
                                           "'" + each + "' is not NAME=VALUE");
              }
              flags.definitions[each.substr(0, equals)] =
                  each.substr(equals + 1);
            }
          },
          "The value of ${NAME} in the scenario; repeatable")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command
      .add_option("--time_scale", flags.time_scale,
                  "What the durations of the scenario are multiplied by")
      ->check(CLI::Range(0.001, 1000.0))
      ->capture_default_str();
}

void AddRunCommand(CLI::App& app, CommandLine& line) {
  CLI::App& command = AddCommand(
      app, line, "run", "Load a server, and tell what came of it",
      [&line] { return RunCommand(line.server, line.run, line.report); });
  RunFlags& flags = line.run;
  AddScenarioFlags(command, flags);
  AddRequestFlags(command, flags.requests);
  CLI::Option* closed =
      command
          .add_option("--in_flight", flags.in_flight,
                      "Closed loop: callers that each send a request when they "
                      "have the answer to the last one; several numbers, "
                      "separated by commas: one after the other; default: 1")
          ->type_name("NUMBERS")
          ->delimiter(',')
          ->check(CLI::Range(1, 4096))
          ->allow_extra_args(false);
  CLI::Option* rate =
      command
          .add_option("--rate", flags.rate,
                      "Open loop: requests per second, whether or not they are "
                      "answered; latency counts from when each was due")
          ->type_name("NUMBER")
          ->check(CLI::Range(0.001, 1e7));
  CLI::Option* ramp = command
                          .add_option("--ramp", flags.ramp,
                                      "Open loop: the rate goes in a line from "
                                      "one value to the other")
                          ->type_name("FROM:TO");
  CLI::Option* steps = command
                           .add_option("--steps", flags.steps,
                                       "Open loop: rates one after the "
                                       "other")
                           ->type_name("RATE@SECONDS,...");
  CLI::Option* replay =
      command
          .add_option("--replay", flags.replay_file,
                      "Open loop: the requests of a trace, at its times")
          ->type_name("FILE");
  for (CLI::Option* one : {closed, rate, ramp, steps, replay}) {
    for (CLI::Option* other : {closed, rate, ramp, steps, replay}) {
      if (one != other) one->excludes(other);
    }
  }
  command
      .add_option("--arrivals", flags.arrivals,
                  "How an open loop's requests come: poisson, at random; "
                  "constant, evenly spaced")
      ->check(CLI::IsMember({"poisson", "constant"}))
      ->capture_default_str();
  command
      .add_option("--max_in_flight", flags.max_in_flight,
                  "Limit on an open loop's requests under way; further ones go "
                  "late, which counts")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command.add_option("--seconds", flags.seconds, "How long it is measured")
      ->check(CLI::Range(0.05, 604800.0))
      ->capture_default_str();
  command
      .add_option("--warmup", flags.warmup_seconds,
                  "How long before that it is loaded; ramps, steps and traces "
                  "have no warm-up")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  command
      .add_option("--window", flags.window_seconds,
                  "The length of the windows that figures over time are for")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.05, 3600.0))
      ->capture_default_str();
  command.add_flag("--until_stable", flags.until_stable,
                   "Instead of --seconds: until rate and mean latency of the "
                   "last three windows differ by at most 10 %, at most ten "
                   "windows");
  command
      .add_option("--record_trace", flags.trace_file,
                  "Where to write when each request was due, for --replay")
      ->type_name("FILE");
  AddReportFlags(command, line.report);
}

void AddFindPeakCommand(CLI::App& app, CommandLine& line) {
  CLI::App& command = AddCommand(
      app, line, "find-peak",
      "Find the highest rate at which a limit on latency holds: by a closed "
      "loop for the start, then by open loops",
      [&line] {
        return FindPeakCommand(line.server, line.find_peak, line.report);
      });
  FindPeakFlags& flags = line.find_peak;
  AddRequestFlags(command, flags.requests);
  command
      .add_option("--slo", flags.slo,
                  "The limit: one of p50, p90, p95, p99, p999, mean, max")
      ->type_name("FIGURE=TIME")
      ->capture_default_str();
  command
      .add_option("--max_in_flight", flags.max_in_flight,
                  "Limit on the requests under way")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command
      .add_option("--window", flags.window_seconds, "The length of a window")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.05, 3600.0))
      ->capture_default_str();
  command
      .add_option("--precision", flags.precision,
                  "The search ends when the least rate that is too high is so "
                  "little above the highest that holds")
      ->check(CLI::Range(0.005, 1.0))
      ->capture_default_str();
  AddReportFlags(command, line.report);
}

void AddReadingCommands(CLI::App& app, CommandLine& line) {
  CLI::App& compare =
      AddCommand(app, line, "compare",
                 "Say what changed from one run to another beyond their noise",
                 [&line] { return CompareCommand(line.compare); });
  compare
      .add_option("before", line.compare.before,
                  "What --json wrote; several runs, separated by commas, show "
                  "the noise between runs too")
      ->required()
      ->type_name("FILES");
  compare.add_option("after", line.compare.after, "The same, of later runs")
      ->required()
      ->type_name("FILES");
  compare
      .add_option("--alpha", line.compare.alpha,
                  "The share of false alarms that is accepted")
      ->check(CLI::Range(1e-6, 0.2))
      ->capture_default_str();
  compare
      .add_option("--least_change", line.compare.least_change,
                  "Changes below are not worth telling")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  compare.add_option("--json", line.compare.json_file, "Where to write it")
      ->type_name("FILE");
  CLI::App& report = AddCommand(
      app, line, "report",
      "Print the table of a run that --json wrote, or write its HTML",
      [&line] { return ReportCommand(line.shown_run, line.report.html_file); });
  report.add_option("run", line.shown_run, "What --json wrote")
      ->required()
      ->type_name("FILE");
  report
      .add_option("--html", line.report.html_file,
                  "Where to write a report with plots; without it, the table "
                  "is printed")
      ->type_name("FILE");
}

int Run(int argc, char** argv) {
  CLI::App app(
      "Loads a server of activations, in an open or a closed loop, and tells "
      "how fast it answers.",
      "actload");
  app.footer(kExitCodes);
  app.require_subcommand(1);
  app.fallthrough();
  CommandLine line;
  line.server.timeout_seconds = 10;
  line.report.command_line.assign(argv, argv + argc);
  AddServerFlags(app, line.server);
  AddRunCommand(app, line);
  AddFindPeakCommand(app, line);
  AddReadingCommands(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  for (RequestFlags* requests :
       {&line.run.requests, &line.find_peak.requests}) {
    if (requests->requests.empty()) requests->requests = {"forward"};
  }
  if (line.run.in_flight.empty()) line.run.in_flight = {1};
  const absl::StatusOr<int> code = line.action();
  if (code.ok()) return *code;
  std::cerr << "actload: " << absl::StatusCodeToString(code.status().code())
            << ": " << code.status().message() << "\n";
  return 1;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) {
  actserve::SetProcessOptions();
  try {
    return actserve::Run(argc, argv);
  } catch (const std::exception& error) {
    // Exceptions come from the standard library, CLI11 or the JSON library; our
    // own errors are statuses.
    std::cerr << "actload: INTERNAL: " << error.what() << "\n";
    return 1;
  }
}
