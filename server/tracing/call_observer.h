#ifndef ACTSERVE_SERVER_TRACING_CALL_OBSERVER_H_
#define ACTSERVE_SERVER_TRACING_CALL_OBSERVER_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/observe/line_limit.h"
#include "server/observe/log.h"
#include "server/tracing/call_record.h"
#include "server/tracing/trace_queue.h"

namespace actserve {

// What the headers of a call say about it. Views of the caller's memory.
struct CallHeaders {
  absl::string_view traceparent = {};
  absl::string_view tracestate = {};
  // Of `x-request-id`, which proxies set.
  absl::string_view request_id = {};
};

// Tells an operator about calls: it writes the access log and the log of slow
// requests, and hands the calls whose trace is recorded to the exporter.
//
// Thread-safe. Off, it costs its users a test of is_on().
class CallObserver {
 public:
  struct Options {
    // Calls that take longer are logged as slow_request; zero: none.
    absl::Duration slow_request = absl::ZeroDuration();
    // True to log every call.
    bool access_log = false;
    // Of the traces that begin here, how many are recorded: 0 to 1. A caller's
    // own trace is recorded if the caller records it.
    double sample_ratio = 0;
  };
  // Limits on the lines of one second. What is left out is counted.
  static constexpr int kMaxSlowLinesPerSecond = 10;
  static constexpr int kMaxAccessLinesPerSecond = 1000;

  // `traces`: where to put recorded calls; null: no call is recorded. It must
  // outlive this object.
  CallObserver(const Options& options, TraceQueue* traces);

  // False if nobody wants to know of a call. Then do not call Observe().
  bool is_on() const { return is_on_ || IsLogged(LogLevel::kDebug); }

  // Decides what a call is known by, and whether its trace is recorded.
  CallIds IdsOf(const CallHeaders& headers) const;

  // Call once, at the end of a call. `peer` returns the client's address.
  void Observe(CallRecord record, CallIds ids,
               absl::FunctionRef<std::string()> peer);

  // Writes how many lines were left out since the last time. Call it once a
  // second.
  void ReportLeftOut();

 private:
  void Log(LogLevel level, absl::string_view event, const CallRecord& record,
           const CallIds& ids, std::string peer) const;

  const Options options_;
  TraceQueue* const traces_;
  const bool is_on_;
  LineLimit slow_lines_{kMaxSlowLinesPerSecond};
  LineLimit access_lines_{kMaxAccessLinesPerSecond};
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_TRACING_CALL_OBSERVER_H_
