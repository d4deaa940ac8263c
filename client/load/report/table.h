#ifndef ACTSERVE_CLIENT_LOAD_REPORT_TABLE_H_
#define ACTSERVE_CLIENT_LOAD_REPORT_TABLE_H_

#include <string>

#include "nlohmann/json.hpp"

namespace actserve {

// A run as text: a line for each workload of each phase, errors, the server's
// side, conditions and the verdict. `run` has the schema of a run.
std::string TableOf(const nlohmann::json& run);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_REPORT_TABLE_H_
