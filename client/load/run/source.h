#ifndef ACTSERVE_CLIENT_LOAD_RUN_SOURCE_H_
#define ACTSERVE_CLIENT_LOAD_RUN_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/load/schedule/arrivals.h"
#include "client/load/schedule/load_plan.h"
#include "client/load/workload/mix.h"

namespace actserve {

// The requests of a load, in their order. The same seed gives the same ones at
// the same times.
//
// Thread-safe.
class Source {
 public:
  // `trace_requests` are the requests of plan.trace.
  Source(const LoadPlan& plan, Mix mix, std::vector<int> trace_requests,
         uint64_t seed);

  struct Item {
    // When to send it, since the beginning. None in a closed loop: now.
    std::optional<int64_t> nanos;
    Pick pick;
  };
  // None: there are no more.
  std::optional<Item> Next();

 private:
  const LoadPlan& plan_;
  const std::vector<int> trace_requests_;
  absl::Mutex mutex_;
  Mix mix_ ABSL_GUARDED_BY(mutex_);
  Arrivals arrivals_ ABSL_GUARDED_BY(mutex_);
  size_t next_in_trace_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_RUN_SOURCE_H_
