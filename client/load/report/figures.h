// The figures of a run, as JSON: what tables, plots, conditions and comparisons
// read. docs/load.md tells what each one means.

#ifndef ACTSERVE_CLIENT_LOAD_REPORT_FIGURES_H_
#define ACTSERVE_CLIENT_LOAD_REPORT_FIGURES_H_

#include <string>
#include <vector>

#include "client/load/record/recorder.h"
#include "client/load/record/tally.h"
#include "client/load/workload/request_spec.h"
#include "nlohmann/json.hpp"

namespace actserve {

// Raised when a figure changes its meaning or a field its place.
inline constexpr char kRunSchema[] = "actload.run/1";

// {"rate": ..., "p99": ..., ...}: times in seconds, sizes in bytes.
nlohmann::json FiguresOf(const Tally& tally, double seconds);

// What `recorder` counted in `seconds`: {"name", "figures", "codes", "windows",
// "spectrum", "requests"}. `is_open`: of an open loop.
nlohmann::json WorkloadJson(const WorkloadSpec& spec,
                            const Recorder::Snapshot& counted, double seconds,
                            double window_seconds, bool is_open);

// The names of all figures of a workload, without "code.*" and "reason.*".
const std::vector<std::string>& FigureNames();

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_REPORT_FIGURES_H_
