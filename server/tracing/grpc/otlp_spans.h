#ifndef ACTSERVE_SERVER_TRACING_GRPC_OTLP_SPANS_H_
#define ACTSERVE_SERVER_TRACING_GRPC_OTLP_SPANS_H_

#include <string>

#include "absl/types/span.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "server/tracing/trace_queue.h"

namespace actserve {

// What all spans of a process have in common.
struct TraceResource {
  std::string service_version;
  // Another one for each process.
  std::string instance_id;
  // "cpu", "cuda:0".
  std::string device;
};

// Makes the request that exports `calls`: for each a span of the call, and
// below it one for each of its steps. Names and attributes are those of
// OpenTelemetry's conventions for RPC; ours begin with "actserve.".
opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest ToOtlp(
    absl::Span<const TracedCall> calls, const TraceResource& resource);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_TRACING_GRPC_OTLP_SPANS_H_
