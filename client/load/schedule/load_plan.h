#ifndef ACTSERVE_CLIENT_LOAD_SCHEDULE_LOAD_PLAN_H_
#define ACTSERVE_CLIENT_LOAD_SCHEDULE_LOAD_PLAN_H_

#include <vector>

#include "client/load/schedule/arrivals.h"
#include "client/load/schedule/trace.h"

namespace actserve {

// How the requests of a workload come.
struct LoadPlan {
  // kClosed: each of `in_flight` callers sends the next request when it has the
  // answer to the last one. kOpen, kReplay: requests come when they come,
  // whether or not others were answered.
  enum class Kind { kClosed, kOpen, kReplay };
  Kind kind = Kind::kClosed;
  int in_flight = 1;
  ArrivalPlan arrivals;
  std::vector<TraceEntry> trace;
  // Of an open loop: the most requests under way. One for which no caller is
  // free goes late, which counts from its intended time.
  int max_in_flight = 256;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_SCHEDULE_LOAD_PLAN_H_
