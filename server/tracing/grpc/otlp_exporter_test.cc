#include "server/tracing/grpc/otlp_exporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "server/testing/otlp_sink.h"

namespace actserve {
namespace {

using testing::AttributeOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::OtlpSink;

const TraceResource kResource = {
    .service_version = "1.2.3", .instance_id = "me", .device = "cuda:0"};

TracedCall CallOf(absl::StatusCode code = absl::StatusCode::kOk) {
  TracedCall call;
  CallRecord& record = call.record;
  const absl::Time start = absl::FromUnixMicros(1'000'000);
  record.method = "Forward";
  record.code = code;
  record.received = start;
  record.ended = start + absl::Microseconds(100);
  record.request_bytes = 11;
  record.response_bytes = 12;
  record.elements = 13;
  record.batch_requests = 14;
  record.steps.queue = {start, start + absl::Microseconds(10)};
  record.steps.compute = {start + absl::Microseconds(10),
                          start + absl::Microseconds(90)};
  call.ids.request_id = "of-a-proxy";
  call.ids.trace = TraceContext{NewTraceId(), NewSpanId(), true};
  call.ids.parent = NewSpanId();
  call.ids.trace_state = "vendor=x";
  return call;
}

template <typename Id>
std::string BytesOf(const Id& id) {
  return std::string(reinterpret_cast<const char*>(id.data()), id.size());
}

TEST(OtlpExporter, ExportsTheTreeOfACall) {
  OtlpSink sink;
  TraceQueue queue;
  OtlpExporter exporter(sink.address(), kResource, &queue);
  const TracedCall call = CallOf();

  queue.Push(call);

  const std::vector<OtlpSink::Span> spans = sink.AwaitSpans(3);
  ASSERT_EQ(spans.size(), 3u);
  std::map<std::string, OtlpSink::Span> by_name;
  for (const auto& span : spans) by_name[span.name()] = span;
  const auto& root = by_name["actserve.v1.ActivationService/Forward"];
  EXPECT_EQ(root.trace_id(), BytesOf(call.ids.trace->trace_id));
  EXPECT_EQ(root.span_id(), BytesOf(call.ids.trace->span_id));
  EXPECT_EQ(root.parent_span_id(), BytesOf(*call.ids.parent));
  EXPECT_EQ(root.trace_state(), "vendor=x");
  EXPECT_EQ(root.kind(), OtlpSink::Span::SPAN_KIND_SERVER);
  EXPECT_EQ(root.start_time_unix_nano(), 1'000'000'000u);
  EXPECT_EQ(root.end_time_unix_nano(), 1'000'100'000u);
  const std::pair<const char*, const char*> attributes[] = {
      {"rpc.system", "grpc"},
      {"rpc.service", "actserve.v1.ActivationService"},
      {"rpc.method", "Forward"},
      {"rpc.grpc.status_code", "0"},
      {"actserve.request_id", "of-a-proxy"},
      {"actserve.request_bytes", "11"},
      {"actserve.response_bytes", "12"},
      {"actserve.elements", "13"},
      {"actserve.batch_requests", "14"},
      {"actserve.device", "cuda:0"}};
  for (const auto& [key, value] : attributes) {
    EXPECT_EQ(AttributeOf(root, key), value) << key;
  }
  for (const char* name : {"queue", "compute"}) {
    const auto& step = by_name[name];
    EXPECT_EQ(step.trace_id(), root.trace_id());
    EXPECT_EQ(step.parent_span_id(), root.span_id());
    EXPECT_EQ(step.span_id().size(), 8u);
    EXPECT_NE(step.span_id(), root.span_id());
    EXPECT_GE(step.start_time_unix_nano(), root.start_time_unix_nano());
    EXPECT_LE(step.end_time_unix_nano(), root.end_time_unix_nano());
  }
  EXPECT_EQ(by_name["compute"].end_time_unix_nano(), 1'000'090'000u);

  const auto requests = sink.requests();
  const std::string resource =
      requests[0].resource_spans(0).resource().ShortDebugString();
  for (const char* text : {"\"service.name\" value { string_value: \"actserve",
                           "\"service.version\" value { string_value: \"1.2.3",
                           "\"service.instance.id\" value { string_value: "
                           "\"me"}) {
    EXPECT_THAT(resource, HasSubstr(text));
  }
}

TEST(OtlpExporter, TellsErrorsOfTheServerFromThoseOfClients) {
  OtlpSink sink;
  TraceQueue queue;
  OtlpExporter exporter(sink.address(), kResource, &queue);
  const std::pair<absl::StatusCode, bool> cases[] = {
      {absl::StatusCode::kInvalidArgument, false},
      {absl::StatusCode::kNotFound, false},
      {absl::StatusCode::kCancelled, false},
      {absl::StatusCode::kResourceExhausted, false},
      {absl::StatusCode::kInternal, true},
      {absl::StatusCode::kDeadlineExceeded, true},
      {absl::StatusCode::kUnavailable, true}};
  for (const auto& [code, is_error] : cases) {
    TracedCall call = CallOf(code);
    call.record.steps = {};
    queue.Push(std::move(call));
  }
  const auto spans = sink.AwaitSpans(std::size(cases));
  ASSERT_EQ(spans.size(), std::size(cases));
  for (size_t i = 0; i < spans.size(); ++i) {
    EXPECT_EQ(spans[i].status().code() != 0, cases[i].second) << i;
    EXPECT_EQ(AttributeOf(spans[i], "rpc.grpc.status_code"),
              std::to_string(static_cast<int>(cases[i].first)));
  }
}

TEST(OtlpExporter, SendsBatches) {
  OtlpSink sink;
  TraceQueue queue;
  for (int i = 0; i < 1200; ++i) queue.Push(CallOf());

  OtlpExporter(sink.address(), kResource, &queue).Stop();

  EXPECT_EQ(sink.AwaitSpans(3 * 1200).size(), 3u * 1200);
  EXPECT_EQ(sink.num_calls(), 3);
}

// The server goes on; memory does not grow; the log counts what was lost.
TEST(OtlpExporter, DropsWhileTheCollectorHangsAndStopsInTime) {
  OtlpSink sink;
  sink.Hang(true);
  TraceQueue queue;
  ::testing::internal::CaptureStderr();
  OtlpExporter exporter(sink.address(), kResource, &queue);
  constexpr int kNumCalls = 20'000;
  for (int i = 0; i < kNumCalls; ++i) queue.Push(CallOf());
  while (sink.num_calls() == 0) absl::SleepFor(absl::Milliseconds(1));

  const absl::Time start = absl::Now();
  exporter.Stop();

  // Far below the ten seconds that the hanging call would take.
  EXPECT_LT(absl::Now() - start, 3 * OtlpExporter::kStopTimeout);
  const std::string log = ::testing::internal::GetCapturedStderr();
  int64_t num_dropped = 0;
  for (absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
    const nlohmann::json parsed = nlohmann::json::parse(line);
    EXPECT_EQ(parsed["event"], "traces_dropped");
    num_dropped += parsed["calls"].get<int64_t>();
  }
  EXPECT_EQ(num_dropped, kNumCalls);
  EXPECT_TRUE(sink.requests().empty());
}

// Nothing listens there; nothing is exported, and nothing waits.
TEST(OtlpExporter, StopsAtOnceWithoutWork) {
  TraceQueue queue;
  ::testing::internal::CaptureStderr();
  const absl::Time start = absl::Now();
  OtlpExporter("127.0.0.1:1", kResource, &queue).Stop();
  EXPECT_LT(absl::Now() - start, OtlpExporter::kStopTimeout);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              Not(HasSubstr("traces_dropped")));
}

// A collector that comes late gets what waited.
TEST(OtlpExporter, GoesOnOnceTheCollectorAnswers) {
  OtlpSink sink;
  sink.Hang(true);
  TraceQueue queue;
  OtlpExporter exporter(sink.address(), kResource, &queue);
  queue.Push(CallOf());
  while (sink.num_calls() == 0) absl::SleepFor(absl::Milliseconds(1));

  sink.Hang(false);

  EXPECT_EQ(sink.AwaitSpans(3).size(), 3u);
}

}  // namespace
}  // namespace actserve
