#include "client/load/report/table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace actserve {
namespace {

using nlohmann::json;

// "12.3 us", "4.56 ms", "1.20 s".
std::string TimeText(double seconds) {
  if (seconds <= 0) return "-";
  if (seconds < 1e-3) return absl::StrFormat("%.1f us", seconds * 1e6);
  if (seconds < 1) return absl::StrFormat("%.2f ms", seconds * 1e3);
  return absl::StrFormat("%.2f s", seconds);
}

std::string BytesText(double bytes) {
  return absl::StrFormat("%.1f MB/s", bytes / 1e6);
}

std::string LoadText(const json& load) {
  if (load["kind"] == "closed") {
    return absl::StrCat(load["in_flight"].get<int>(), " in flight");
  }
  if (load["kind"] == "replay") return "replay";
  if (!load.contains("rate")) return "open, rates";
  return absl::StrFormat("open, %.0f/s", load["rate"].get<double>());
}

void AppendWorkload(const json& phase, const json& workload,
                    std::string& text) {
  const json& figures = workload["figures"];
  const auto figure = [&](const char* name) {
    return figures[name].get<double>();
  };
  const std::string name =
      phase["workloads"].size() == 1
          ? phase["name"].get<std::string>()
          : absl::StrCat(phase["name"].get<std::string>(), ".",
                         workload["name"].get<std::string>());
  absl::StrAppendFormat(
      &text, "%-22s %-16s %9.0f %10s %10s %10s %10s %8.0f %11s %9s\n", name,
      LoadText(workload["load"]), figure("rate"), TimeText(figure("p50")),
      TimeText(figure("p99")), TimeText(figure("p999")),
      TimeText(figure("max")), figure("errors"),
      BytesText(figure("sent_bytes_per_second") +
                figure("received_bytes_per_second")),
      workload["load"]["kind"] == "closed" ? "-" : TimeText(figure("lag_p99")));
}

void AppendErrors(const json& phase, const json& workload, std::string& text) {
  for (const json& each : workload["codes"]) {
    if (each["code"] == "OK") continue;
    std::string reason = each["reason"];
    if (!reason.empty()) reason = absl::StrCat(" (", reason, ")");
    absl::StrAppend(&text, "  ", phase["name"].get<std::string>(), ".",
                    workload["name"].get<std::string>(), ": ",
                    each["code"].get<std::string>(), reason, ": ",
                    each["count"].get<int64_t>(), "\n");
  }
  const json& figures = workload["figures"];
  if (figures["wrong"] != 0) {
    absl::StrAppend(&text, "  ", phase["name"].get<std::string>(), ".",
                    workload["name"].get<std::string>(), ": ",
                    figures["wrong"].get<int64_t>(), " WRONG answers of ",
                    figures["verified"].get<int64_t>(), " compared\n");
  }
}

void AppendServer(const json& phase, std::string& text) {
  if (!phase.contains("server")) return;
  const json& server = phase["server"];
  absl::StrAppend(&text, "  ", phase["name"].get<std::string>(), ": ");
  if (!server.contains("series")) {
    absl::StrAppend(&text, server["error"].get<std::string>(), "\n");
    return;
  }
  const json& series = server["series"];
  const auto value = [&](const char* name, const char* which) {
    return series.contains(name) ? series[name][which].get<double>() : 0;
  };
  const double seconds = phase["seconds"];
  const json& handling = server["quantiles"]["grpc_server_handling_seconds"];
  const json& queue = server["quantiles"]["actserve_queue_wait_seconds"];
  absl::StrAppendFormat(
      &text,
      "processors %.2f, resident %.0f MiB (most %.0f), handling p50 %s p99 %s, "
      "queue wait p50 %s p99 %s\n",
      (value("process_cpu_seconds_total", "after") -
       value("process_cpu_seconds_total", "before")) /
          (seconds + phase["warmup_seconds"].get<double>()),
      value("process_resident_memory_bytes", "after") / (1 << 20),
      value("process_resident_memory_bytes", "max") / (1 << 20),
      TimeText(handling["p50"]), TimeText(handling["p99"]),
      TimeText(queue["p50"]), TimeText(queue["p99"]));
}

}  // namespace

std::string TableOf(const json& run) {
  std::string text = absl::StrFormat(
      "%-22s %-16s %9s %10s %10s %10s %10s %8s %11s %9s\n", "phase", "load",
      "ok/s", "p50", "p99", "p99.9", "max", "errors", "tensors", "lag p99");
  std::string errors;
  std::string server;
  std::string invalid;
  int64_t verified = 0;
  for (const json& phase : run["phases"]) {
    for (const json& workload : phase["workloads"]) {
      AppendWorkload(phase, workload, text);
      AppendErrors(phase, workload, errors);
      verified += workload["figures"]["verified"].get<int64_t>();
    }
    AppendServer(phase, server);
    for (const json& why : phase["invalid"]) {
      absl::StrAppend(&invalid, "  ", phase["name"].get<std::string>(), ": ",
                      why.get<std::string>(), "\n");
    }
    if (phase.contains("stable") && !phase["stable"].get<bool>()) {
      absl::StrAppend(&text, "  ", phase["name"].get<std::string>(),
                      ": not stable after ", phase["windows"].get<int>(),
                      " windows\n");
    }
  }
  if (!errors.empty())
    absl::StrAppend(&text, "answers other than OK:\n", errors);
  if (!server.empty()) absl::StrAppend(&text, "server:\n", server);
  absl::StrAppend(&text, "answers compared bit for bit: ", verified, "\n");
  for (const json& condition : run["conditions"]) {
    absl::StrAppendFormat(&text, "%s  %s  (%.6g, limit %.6g)\n",
                          condition["passed"].get<bool>() ? "pass" : "FAIL",
                          condition["text"].get<std::string>(),
                          condition["value"].get<double>(),
                          condition["limit"].get<double>());
  }
  if (!invalid.empty()) {
    absl::StrAppend(&text, "INVALID: these figures are the generator's:\n",
                    invalid);
  }
  if (run.contains("verdict")) {
    absl::StrAppend(&text, "verdict: ", run["verdict"].get<std::string>(),
                    "\n");
  }
  return text;
}

}  // namespace actserve
