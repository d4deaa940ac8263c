#ifndef ACTSERVE_SERVER_TRACING_TRACE_CONTEXT_H_
#define ACTSERVE_SERVER_TRACING_TRACE_CONTEXT_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace actserve {

using TraceId = std::array<uint8_t, 16>;
using SpanId = std::array<uint8_t, 8>;

// The place of a caller in a distributed trace, as the header `traceparent` of
// W3C Trace Context tells it.
struct TraceContext {
  TraceId trace_id = {};
  // The caller's span.
  SpanId span_id = {};
  // True if the caller records its span.
  bool sampled = false;
};

// Parses a `traceparent`: "00-<32 hex digits>-<16 hex digits>-<2 hex digits>".
// nullopt if it is malformed, or an id is zero. Later versions may have more
// behind it.
std::optional<TraceContext> ParseTraceParent(absl::string_view header);

// Returns whether a trace that begins here is recorded, for a ratio of 0 to 1.
// The rule of OpenTelemetry's TraceIdRatioBased: every program that has the
// same trace decides alike, and a larger ratio records the same traces and
// more.
bool IsSampled(const TraceId& trace_id, double ratio);

// Random ids. Thread-safe.
TraceId NewTraceId();
SpanId NewSpanId();

std::string ToHex(const TraceId& id);
std::string ToHex(const SpanId& id);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_TRACING_TRACE_CONTEXT_H_
