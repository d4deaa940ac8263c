#ifndef ACTSERVE_SERVER_TRACING_CALL_RECORD_H_
#define ACTSERVE_SERVER_TRACING_CALL_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/observe/service_name.h"
#include "server/tracing/trace_context.h"

namespace actserve {

// A part of a call's time.
struct Step {
  absl::Time start;
  absl::Time end;
};

// The steps of a call that it took.
struct Steps {
  // Waited for its program to be compiled.
  std::optional<Step> compile;
  // Waited for the device, or for a thread.
  std::optional<Step> queue;
  // On the device.
  std::optional<Step> copy_in;
  std::optional<Step> compute;
  std::optional<Step> copy_out;
};

// The durations of what a device did between two times, laid into that time one
// after the other. Where they overlapped, and so add up to more, the later ones
// begin earlier.
void LayStages(absl::Time start, absl::Time end, absl::Duration copy_in,
               absl::Duration compute, absl::Duration copy_out, Steps* steps);

// What an operator may know of a call once it is done. It has nothing of what
// the client sent: no text, no name, no tensor, no token, no message of an
// error.
struct CallRecord {
  // Literals: "Forward", of what service.
  absl::string_view service = kServiceName;
  absl::string_view method;
  absl::StatusCode code = absl::StatusCode::kOk;
  absl::Time received;
  absl::Time ended;
  Steps steps;
  int64_t request_bytes = 0;
  int64_t response_bytes = 0;
  // The id of the activation; empty: none, or not known.
  std::string activation;
  int64_t elements = 0;
  // The requests that were computed together, this one included; 0 if it was
  // not computed.
  int batch_requests = 0;
  // Empty: none.
  std::string tenant;
};

// What a call is known by.
struct CallIds {
  // By a proxy, if the request carries one; otherwise random. At most 64
  // letters, digits, '-', '_' and '.'.
  std::string request_id;
  // The trace that it belongs to, if there is one: the caller's, or one that
  // begins here. `span_id` is this call's span.
  std::optional<TraceContext> trace;
  // The caller's span.
  std::optional<SpanId> parent;
  // The caller's `tracestate`, to be passed on.
  std::string trace_state;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_TRACING_CALL_RECORD_H_
