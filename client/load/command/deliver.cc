#include "client/load/command/deliver.h"

#include <unistd.h>

#include <fstream>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/read_file.h"
#include "client/load/report/figures.h"
#include "client/load/report/html.h"
#include "client/load/report/table.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"

namespace actserve {

using nlohmann::json;

absl::Status WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (file) return absl::OkStatus();
  return InvalidArgument(Quoted(path), " cannot be written");
}

absl::StatusOr<json> ReadRun(const std::string& path) {
  ACTSERVE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  json run = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (run.is_object() && run.value("schema", "") == kRunSchema) return run;
  return InvalidArgument(Quoted(path), " is no run of the schema ", kRunSchema);
}

absl::StatusOr<WorkloadSpec> WorkloadOf(const RequestFlags& flags,
                                        double timeout_seconds) {
  WorkloadSpec workload;
  for (const std::string& request : flags.requests) {
    ACTSERVE_ASSIGN_OR_RETURN(workload.requests.emplace_back(),
                              ParseRequestFlag(request));
  }
  workload.connections = flags.connections;
  workload.shared_memory = flags.shared_memory;
  workload.in_place = flags.shared_memory;
  workload.max_attempts = flags.max_attempts;
  workload.verify = flags.verify;
  workload.timeout = absl::Seconds(timeout_seconds);
  return workload;
}

RunOptions RunOptionsOf(const ServerFlags& server, const ReportFlags& report,
                        uint64_t seed) {
  RunOptions options;
  options.server = server;
  options.phase.seed = seed;
  options.phase.max_lag_seconds = report.max_lag_seconds;
  options.phase.metrics_address = report.metrics_address;
  options.command_line = report.command_line;
  if (isatty(STDERR_FILENO) != 0) {
    options.phase.progress = [](const std::string& line) {
      std::cerr << "\r\033[K" << line << std::flush;
    };
  }
  if (report.announce) {
    options.on_phase = [](const std::string& phase) {
      std::cerr << "actload: phase " << phase << std::endl;
    };
  }
  return options;
}

absl::StatusOr<int> DeliverRun(const json& run, const ReportFlags& report) {
  if (isatty(STDERR_FILENO) != 0) std::cerr << "\r\033[K";
  std::cout << TableOf(run) << std::flush;
  if (!report.json_file.empty()) {
    ACTSERVE_RETURN_IF_ERROR(
        WriteFile(report.json_file, absl::StrCat(run.dump(1), "\n")));
  }
  if (!report.html_file.empty()) {
    ACTSERVE_RETURN_IF_ERROR(WriteFile(report.html_file, HtmlOf(run)));
  }
  const std::string verdict = run["verdict"];
  return verdict == "passed"   ? kPassed
         : verdict == "failed" ? kFailed
                               : kInvalid;
}

}  // namespace actserve
