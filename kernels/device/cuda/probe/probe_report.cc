#include "kernels/device/cuda/probe/probe_report.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace actserve {
namespace {

using Outcome = ProbeRow::Outcome;

const char* OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
      return "ok";
    case Outcome::kInformation:
      return "information";
    case Outcome::kFailed:
      return "failed";
    case Outcome::kNotTried:
      return "not tried";
  }
  return "";
}

std::string Cell(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"|", "\\|"}, {"\n", " "}});
}

std::string ResultCell(const ProbeRow& row) {
  switch (row.outcome) {
    case Outcome::kOk:
    case Outcome::kInformation:
      return Cell(row.result);
    case Outcome::kFailed:
      return absl::StrCat("**failed**: ", Cell(row.result));
    case Outcome::kNotTried:
      return absl::StrCat("not tried: ", Cell(row.result));
  }
  return "";
}

std::string FoundCell(const nlohmann::ordered_json& found) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : found.items()) {
    parts.push_back(absl::StrCat(
        name, " ",
        value.is_string()         ? Cell(value.get<std::string>())
        : value.is_number_float() ? absl::StrFormat("%.4g", value.get<double>())
                                  : value.dump()));
  }
  return absl::StrJoin(parts, ", ");
}

}  // namespace

ProbeReport::ProbeReport(std::ostream& out, std::string json_file)
    : out_(out),
      json_file_(std::move(json_file)),
      json_({{"finished", false},
             {"failed", nlohmann::ordered_json::array()},
             {"rows", nlohmann::ordered_json::array()}}) {
  out_ << "| call | result | ms | found |\n|---|---|---|---|\n" << std::flush;
}

bool ProbeReport::Record(const std::string& call,
                         absl::FunctionRef<void(ProbeRow& row)> step) {
  Begin(call);
  ProbeRow row;
  row.call = call;
  const auto start = std::chrono::steady_clock::now();
  step(row);
  if (row.milliseconds < 0) {
    row.milliseconds = std::chrono::duration<double, std::milli>(
                           std::chrono::steady_clock::now() - start)
                           .count();
  }
  End(row);
  return row.outcome != Outcome::kFailed;
}

void ProbeReport::NotTried(const std::string& call, absl::string_view why) {
  Begin(call);
  ProbeRow row;
  row.call = call;
  row.outcome = Outcome::kNotTried;
  row.result = std::string(why);
  End(row);
}

void ProbeReport::Finish(int exit_code, absl::string_view summary) {
  out_ << "\n" << summary << "\n" << std::flush;
  json_["finished"] = true;
  json_["exit_code"] = exit_code;
  json_["summary"] = std::string(summary);
  WriteJson();
}

void ProbeReport::Begin(const std::string& call) {
  out_ << "| " << Cell(call) << " | " << std::flush;
}

void ProbeReport::End(const ProbeRow& row) {
  out_ << ResultCell(row) << " | "
       << (row.milliseconds < 0 ? ""
                                : absl::StrFormat("%.3f", row.milliseconds))
       << " | " << FoundCell(row.found) << " |\n"
       << std::flush;
  if (row.outcome == Outcome::kFailed) {
    failed_.push_back(row.call);
    json_["failed"].push_back(row.call);
  }
  nlohmann::ordered_json json = {{"call", row.call},
                                 {"outcome", OutcomeName(row.outcome)},
                                 {"result", row.result}};
  if (row.milliseconds >= 0) json["ms"] = row.milliseconds;
  json["found"] = row.found;
  json_["rows"].push_back(std::move(json));
  WriteJson();
}

void ProbeReport::WriteJson() {
  if (json_file_.empty()) return;
  const std::string unfinished = json_file_ + ".tmp";
  std::ofstream file(unfinished);
  // A driver's text may be no UTF-8.
  file << json_.dump(1, ' ', false,
                     nlohmann::ordered_json::error_handler_t::replace)
       << "\n";
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(unfinished, json_file_, error);
  if (!file || error) lacks_json_ = true;
}

}  // namespace actserve
