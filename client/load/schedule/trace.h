#ifndef ACTSERVE_CLIENT_LOAD_SCHEDULE_TRACE_H_
#define ACTSERVE_CLIENT_LOAD_SCHEDULE_TRACE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace actserve {

// A request of a recorded trace.
struct TraceEntry {
  // When it was to be sent, since the beginning.
  int64_t nanos = 0;
  // The name of the request in its mix.
  std::string request;
};

// A trace as a text: the line "actload-trace 1", then a line "SECONDS NAME" for
// each request, by ascending time. Empty lines and those that begin with # are
// skipped.
//   InvalidArgument  with the number of the line that is wrong
absl::StatusOr<std::vector<TraceEntry>> ParseTrace(const std::string& text);
std::string TraceText(const std::vector<TraceEntry>& trace);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_SCHEDULE_TRACE_H_
