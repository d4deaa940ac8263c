#include "server/tracing/call_observer.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"

namespace actserve {
namespace {

// What W3C asks a program to keep at least.
constexpr size_t kMaxTraceStateBytes = 512;
constexpr size_t kMaxRequestIdBytes = 64;

bool IsRequestId(absl::string_view id) {
  return !id.empty() && id.size() <= kMaxRequestIdBytes &&
         std::all_of(id.begin(), id.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
         });
}

void AddMicros(absl::string_view name, const std::optional<Step>& step,
               std::vector<LogField>* fields) {
  if (!step.has_value()) return;
  fields->emplace_back(name,
                       absl::ToInt64Microseconds(step->end - step->start));
}

}  // namespace

CallObserver::CallObserver(const Options& options, TraceQueue* traces)
    : options_(options),
      traces_(traces),
      is_on_(options.access_log || traces != nullptr ||
             options.slow_request > absl::ZeroDuration()) {}

CallIds CallObserver::IdsOf(const CallHeaders& headers) const {
  CallIds ids;
  if (IsRequestId(headers.request_id)) {
    ids.request_id = std::string(headers.request_id);
  } else {
    ids.request_id = ToHex(NewSpanId());
  }
  ids.trace = ParseTraceParent(headers.traceparent);
  if (ids.trace.has_value()) {
    ids.parent = ids.trace->span_id;
    ids.trace->sampled &= traces_ != nullptr;
    ids.trace->span_id = NewSpanId();
    if (headers.tracestate.size() <= kMaxTraceStateBytes &&
        std::ranges::all_of(headers.tracestate, absl::ascii_isprint)) {
      ids.trace_state = std::string(headers.tracestate);
    }
  } else if (traces_ != nullptr) {
    const TraceId trace_id = NewTraceId();
    if (IsSampled(trace_id, options_.sample_ratio)) {
      ids.trace = TraceContext{trace_id, NewSpanId(), /*sampled=*/true};
    }
  }
  return ids;
}

void CallObserver::Observe(CallRecord record, CallIds ids,
                           absl::FunctionRef<std::string()> peer) {
  if (options_.slow_request > absl::ZeroDuration() &&
      record.ended - record.received > options_.slow_request &&
      IsLogged(LogLevel::kWarning) && slow_lines_.Allow(record.ended)) {
    Log(LogLevel::kWarning, "slow_request", record, ids, peer());
  } else if (IsLogged(LogLevel::kDebug)) {
    Log(LogLevel::kDebug, "request", record, ids, peer());
  } else if (options_.access_log && IsLogged(LogLevel::kInfo) &&
             access_lines_.Allow(record.ended)) {
    Log(LogLevel::kInfo, "request", record, ids, peer());
  }
  // Strangers do not decide how many traces there are.
  if (ids.trace.has_value() && ids.trace->sampled &&
      record.code != absl::StatusCode::kUnauthenticated) {
    traces_->Push({std::move(record), std::move(ids)});
  }
}

void CallObserver::ReportLeftOut() {
  const auto report = [](absl::string_view event, LineLimit& limit) {
    const int64_t lines = limit.TakeNumLeftOut();
    if (lines == 0) return;
    LogEvent(LogLevel::kWarning, "lines_left_out",
             {{"of", std::string(event)}, {"lines", lines}});
  };
  report("slow_request", slow_lines_);
  report("request", access_lines_);
}

void CallObserver::Log(LogLevel level, absl::string_view event,
                       const CallRecord& record, const CallIds& ids,
                       std::string peer) const {
  std::vector<LogField> fields = {
      {"method", std::string(record.method)},
      {"code", absl::StatusCodeToString(record.code)},
      {"micros", absl::ToInt64Microseconds(record.ended - record.received)},
      {"peer", std::move(peer)},
      {"request_id", ids.request_id}};
  if (ids.trace.has_value()) {
    fields.emplace_back("trace_id", ToHex(ids.trace->trace_id));
    fields.emplace_back("span_id", ToHex(ids.trace->span_id));
  }
  if (!record.activation.empty()) {
    fields.emplace_back("activation", record.activation);
  }
  if (!record.tenant.empty()) fields.emplace_back("tenant", record.tenant);
  const Steps& steps = record.steps;
  AddMicros("compile_micros", steps.compile, &fields);
  AddMicros("queue_micros", steps.queue, &fields);
  AddMicros("copy_in_micros", steps.copy_in, &fields);
  AddMicros("compute_micros", steps.compute, &fields);
  AddMicros("copy_out_micros", steps.copy_out, &fields);
  fields.emplace_back("request_bytes", record.request_bytes);
  fields.emplace_back("response_bytes", record.response_bytes);
  if (record.batch_requests > 0) {
    fields.emplace_back("elements", record.elements);
    fields.emplace_back("batch_requests", int64_t{record.batch_requests});
  }
  LogEvent(level, event, fields);
}

}  // namespace actserve
