#ifndef ACTSERVE_SERVER_TRACING_TRACE_QUEUE_H_
#define ACTSERVE_SERVER_TRACING_TRACE_QUEUE_H_

#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/tracing/call_record.h"

namespace actserve {

// A call whose trace is recorded.
struct TracedCall {
  CallRecord record;
  // Has a trace.
  CallIds ids;
};

// The calls that wait to be exported: a bounded queue between those who serve
// and the one who exports. Thread-safe; no call blocks the server.
class TraceQueue {
 public:
  // Some 700 bytes each, without what they point to.
  static constexpr size_t kMaxCalls = 4096;

  // Counts the call as dropped if the queue is full or closed.
  void Push(TracedCall call);

  // Waits for a call, then up to `patience` until `max_calls` are there or the
  // queue is closed. Returns none only if it is closed.
  std::vector<TracedCall> Take(size_t max_calls, absl::Duration patience);

  // What was dropped since the last call of this.
  int64_t TakeNumDropped();

  // Refuses further calls; those that wait can still be taken.
  void Close();

 private:
  absl::Mutex mu_;
  std::vector<TracedCall> calls_ ABSL_GUARDED_BY(mu_);
  int64_t num_dropped_ ABSL_GUARDED_BY(mu_) = 0;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_TRACING_TRACE_QUEUE_H_
