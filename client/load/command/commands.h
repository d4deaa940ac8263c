// The commands of actload, without the parsing of flags.

#ifndef ACTSERVE_CLIENT_LOAD_COMMAND_COMMANDS_H_
#define ACTSERVE_CLIENT_LOAD_COMMAND_COMMANDS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/server_flags.h"

namespace actserve {

// What the exit code of actload says, beside 1 for an error and 2 for a wrong
// command line.
inline constexpr int kPassed = 0;
inline constexpr int kFailed = 3;   // a condition, or a wrong answer
inline constexpr int kInvalid = 4;  // the generator was the limit
inline constexpr int kWorse = 5;    // compare: beyond noise

// What the requests are, without a scenario.
struct RequestFlags {
  // As ParseRequestFlag() reads them.
  std::vector<std::string> requests;
  int connections = 1;
  bool shared_memory = false;
  int max_attempts = 1;
  double verify = 0.01;
  uint64_t seed = 1;
};

// Where results go, and what they are judged by.
struct ReportFlags {
  std::string json_file;
  std::string html_file;
  std::string metrics_address;
  std::vector<std::string> conditions;
  double max_lag_seconds = 1e-3;
  // Print a line when a phase begins.
  bool announce = false;
  // Of the program, for the report.
  std::vector<std::string> command_line;
};

struct RunFlags {
  std::string scenario_file;
  std::map<std::string, std::string> definitions;
  double time_scale = 1;
  RequestFlags requests;
  // One of the five ways to load, or by default one call in flight.
  std::vector<int> in_flight;
  double rate = 0;
  std::string ramp;   // "FROM:TO"
  std::string steps;  // "RATE@SECONDS,RATE@SECONDS"
  std::string replay_file;
  std::string arrivals = "poisson";
  int max_in_flight = 256;
  double seconds = 10;
  double warmup_seconds = 1;
  double window_seconds = 1;
  bool until_stable = false;
  std::string trace_file;
};

struct FindPeakFlags {
  RequestFlags requests;
  // "p99=10ms".
  std::string slo = "p99=10ms";
  int max_in_flight = 256;
  double window_seconds = 1;
  // The search ends when the rates that hold and do not are so near.
  double precision = 0.05;
};

struct CompareFlags {
  // Files of runs, separated by commas.
  std::string before;
  std::string after;
  double alpha = 0.01;
  double least_change = 0.03;
  std::string json_file;
};

// Each returns the exit code.
absl::StatusOr<int> RunCommand(const ServerFlags& server, const RunFlags& run,
                               const ReportFlags& report);
absl::StatusOr<int> FindPeakCommand(const ServerFlags& server,
                                    const FindPeakFlags& flags,
                                    const ReportFlags& report);
absl::StatusOr<int> CompareCommand(const CompareFlags& flags);
// Prints the table of a run that was written as JSON, or writes its HTML.
absl::StatusOr<int> ReportCommand(const std::string& json_file,
                                  const std::string& html_file);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_COMMAND_COMMANDS_H_
