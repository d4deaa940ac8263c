#include "client/load/report/html.h"

#include <string_view>

#include "absl/strings/str_replace.h"
#include "client/load/report/texts.h"

namespace actserve {
namespace {

std::string TextOf(std::string_view name) {
  for (int i = 0; i < kReportTextsSize; ++i) {
    if (name == kReportTexts[i].name) return kReportTexts[i].text;
  }
  return "";
}

}  // namespace

std::string HtmlOf(const nlohmann::json& run) {
  // Nothing in a string of the run can end the script that it stands in.
  const std::string figures = absl::StrReplaceAll(
      run.dump(-1, ' ', /*ensure_ascii=*/true), {{"<", "\\u003c"}});
  return absl::StrReplaceAll(TextOf("page"), {{"@CHART@", TextOf("chart.min")},
                                              {"@DRAW@", TextOf("draw")},
                                              {"@RUN@", figures}});
}

}  // namespace actserve
