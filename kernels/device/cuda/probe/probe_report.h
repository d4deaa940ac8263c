#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_PROBE_PROBE_REPORT_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_PROBE_PROBE_REPORT_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace actserve {

// A call, or what several calls were to find out.
struct ProbeRow {
  enum class Outcome {
    kOk,
    kInformation,  // worth knowing; neither right nor wrong
    kFailed,
    kNotTried,
  };

  std::string call;
  Outcome outcome = Outcome::kOk;
  // "ok", the driver's name of an error, or a reason.
  std::string result = "ok";
  // How long it took on the host. Negative: no time.
  double milliseconds = -1;
  // Names and values of what it found.
  nlohmann::ordered_json found = nlohmann::ordered_json::object();

  void Fail(absl::string_view reason) {
    outcome = Outcome::kFailed;
    result = std::string(reason);
  }
  void Inform(absl::string_view reason) {
    outcome = Outcome::kInformation;
    result = std::string(reason);
  }
};

// Writes down what a probe finds, as rows of a Markdown table and as JSON. Each
// row is out before the next begins, and its first cell before its call, so the
// text of a probe that never returns ends with the call that holds it.
class ProbeReport {
 public:
  // Rewrites `json_file` after each row, by renaming, so that it is always
  // complete. "": none. `out` must outlive the report.
  ProbeReport(std::ostream& out, std::string json_file);

  // Runs `step`, which fills the row, and takes its time unless it says one.
  // Returns false if the step failed.
  bool Record(const std::string& call,
              absl::FunctionRef<void(ProbeRow& row)> step);
  void NotTried(const std::string& call, absl::string_view why);
  // Adds the line that sums up, and the exit code to the JSON.
  void Finish(int exit_code, absl::string_view summary);

  // The calls that failed.
  const std::vector<std::string>& failed() const { return failed_; }
  // True if the JSON could not be written, at least once.
  bool lacks_json() const { return lacks_json_; }

 private:
  void Begin(const std::string& call);
  void End(const ProbeRow& row);
  void WriteJson();

  std::ostream& out_;
  const std::string json_file_;
  nlohmann::ordered_json json_;
  std::vector<std::string> failed_;
  bool lacks_json_ = false;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_PROBE_PROBE_REPORT_H_
