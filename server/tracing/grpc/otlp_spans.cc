#include "server/tracing/grpc/otlp_spans.h"

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "opentelemetry/proto/trace/v1/trace.pb.h"
#include "server/observe/service_name.h"

namespace actserve {
namespace {

using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using opentelemetry::proto::common::v1::KeyValue;
using opentelemetry::proto::trace::v1::ScopeSpans;
using opentelemetry::proto::trace::v1::Span;
using Attributes = google::protobuf::RepeatedPtrField<KeyValue>;

template <typename Id>
std::string BytesOf(const Id& id) {
  return std::string(reinterpret_cast<const char*>(id.data()), id.size());
}

void Add(absl::string_view key, const std::string& value, Attributes* to) {
  KeyValue& attribute = *to->Add();
  attribute.set_key(std::string(key));
  attribute.mutable_value()->set_string_value(value);
}

void Add(absl::string_view key, int64_t value, Attributes* to) {
  KeyValue& attribute = *to->Add();
  attribute.set_key(std::string(key));
  attribute.mutable_value()->set_int_value(value);
}

// What the conventions count as an error of the server, not of the client.
bool IsServerError(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

Span& AddSpan(absl::string_view name, const Step& step, const SpanId& id,
              const CallIds& ids, ScopeSpans* to) {
  Span& span = *to->add_spans();
  span.set_name(std::string(name));
  span.set_trace_id(BytesOf(ids.trace->trace_id));
  span.set_span_id(BytesOf(id));
  span.set_trace_state(ids.trace_state);
  span.set_start_time_unix_nano(absl::ToUnixNanos(step.start));
  span.set_end_time_unix_nano(absl::ToUnixNanos(step.end));
  return span;
}

void AddStep(absl::string_view name, const std::optional<Step>& step,
             const TracedCall& call, ScopeSpans* to) {
  if (!step.has_value()) return;
  Span& span = AddSpan(name, *step, NewSpanId(), call.ids, to);
  span.set_parent_span_id(BytesOf(call.ids.trace->span_id));
  span.set_kind(Span::SPAN_KIND_INTERNAL);
}

void AddCall(const TracedCall& call, const std::string& device,
             ScopeSpans* to) {
  const CallRecord& record = call.record;
  Span& span = AddSpan(absl::StrCat(record.service, "/", record.method),
                       {record.received, record.ended}, call.ids.trace->span_id,
                       call.ids, to);
  if (call.ids.parent) span.set_parent_span_id(BytesOf(*call.ids.parent));
  span.set_kind(Span::SPAN_KIND_SERVER);
  if (IsServerError(record.code)) {
    span.mutable_status()->set_code(
        opentelemetry::proto::trace::v1::Status::STATUS_CODE_ERROR);
  }
  Attributes* const attributes = span.mutable_attributes();
  Add("rpc.system", "grpc", attributes);
  Add("rpc.service", std::string(record.service), attributes);
  Add("rpc.method", std::string(record.method), attributes);
  Add("rpc.grpc.status_code", static_cast<int64_t>(record.code), attributes);
  Add("actserve.request_id", call.ids.request_id, attributes);
  Add("actserve.request_bytes", record.request_bytes, attributes);
  Add("actserve.response_bytes", record.response_bytes, attributes);
  if (!record.tenant.empty()) Add("actserve.tenant", record.tenant, attributes);
  if (!record.activation.empty()) {
    Add("actserve.activation", record.activation, attributes);
  }
  if (record.batch_requests > 0) {
    Add("actserve.elements", record.elements, attributes);
    Add("actserve.device", device, attributes);
    Add("actserve.batch_requests", int64_t{record.batch_requests}, attributes);
  }
  const Steps& steps = record.steps;
  AddStep("compile", steps.compile, call, to);
  AddStep("queue", steps.queue, call, to);
  AddStep("copy_in", steps.copy_in, call, to);
  AddStep("compute", steps.compute, call, to);
  AddStep("copy_out", steps.copy_out, call, to);
}

}  // namespace

ExportTraceServiceRequest ToOtlp(absl::Span<const TracedCall> calls,
                                 const TraceResource& resource) {
  ExportTraceServiceRequest request;
  auto& spans = *request.add_resource_spans();
  Attributes* const attributes = spans.mutable_resource()->mutable_attributes();
  Add("service.name", "actserve", attributes);
  Add("service.version", resource.service_version, attributes);
  Add("service.instance.id", resource.instance_id, attributes);
  ScopeSpans& scope = *spans.add_scope_spans();
  scope.mutable_scope()->set_name("actserve");
  for (const TracedCall& call : calls) AddCall(call, resource.device, &scope);
  return request;
}

}  // namespace actserve
