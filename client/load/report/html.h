#ifndef ACTSERVE_CLIENT_LOAD_REPORT_HTML_H_
#define ACTSERVE_CLIENT_LOAD_REPORT_HTML_H_

#include <string>

#include "nlohmann/json.hpp"

namespace actserve {

// A page about a run, with its figures, the script that draws them, and
// Chart.js: it opens without a network.
std::string HtmlOf(const nlohmann::json& run);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_REPORT_HTML_H_
