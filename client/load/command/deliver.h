#ifndef ACTSERVE_CLIENT_LOAD_COMMAND_DELIVER_H_
#define ACTSERVE_CLIENT_LOAD_COMMAND_DELIVER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/load/command/commands.h"
#include "client/load/scenario/run_scenario.h"
#include "client/load/workload/request_spec.h"
#include "nlohmann/json.hpp"

namespace actserve {

//   InvalidArgument  the file cannot be written
absl::Status WriteFile(const std::string& path, const std::string& text);

// A run that a file has.
//   InvalidArgument  it is none, or of another schema
absl::StatusOr<nlohmann::json> ReadRun(const std::string& path);

// The one workload of a run without a scenario.
absl::StatusOr<WorkloadSpec> WorkloadOf(const RequestFlags& flags,
                                        double timeout_seconds);

RunOptions RunOptionsOf(const ServerFlags& server, const ReportFlags& report,
                        uint64_t seed);

// Prints the table, writes the files, and returns the exit code.
absl::StatusOr<int> DeliverRun(const nlohmann::json& run,
                               const ReportFlags& report);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_COMMAND_DELIVER_H_
