#include "server/tracing/call_observer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"

namespace actserve {
namespace {

constexpr char kParent[] =
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
constexpr char kUnsampledParent[] =
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

CallRecord RecordOf(absl::Duration length) {
  CallRecord record;
  record.method = "Forward";
  record.received = absl::UnixEpoch();
  record.ended = record.received + length;
  return record;
}

// What an observer with `options` logs of `num_calls` calls of a second each.
std::vector<nlohmann::json> Log(const CallObserver::Options& options,
                                int num_calls, const CallRecord& record,
                                const CallHeaders& headers = {}) {
  TraceQueue traces;
  ::testing::internal::CaptureStderr();
  CallObserver observer(options, &traces);
  for (int i = 0; i < num_calls; ++i) {
    observer.Observe(record, observer.IdsOf(headers),
                     [] { return "ipv4:1.2.3.4:5"; });
  }
  observer.ReportLeftOut();
  observer.ReportLeftOut();
  const std::string text = ::testing::internal::GetCapturedStderr();
  std::vector<nlohmann::json> lines;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    lines.push_back(nlohmann::json::parse(line));
  }
  return lines;
}

TEST(CallObserver, IsOffByDefault) {
  EXPECT_FALSE(CallObserver({}, nullptr).is_on());
  EXPECT_TRUE(CallObserver({.access_log = true}, nullptr).is_on());
  EXPECT_TRUE(
      CallObserver({.slow_request = absl::Seconds(1)}, nullptr).is_on());
  TraceQueue traces;
  EXPECT_TRUE(CallObserver({}, &traces).is_on());
}

TEST(CallObserver, LogsEveryCallByFlag) {
  CallRecord record = RecordOf(absl::Milliseconds(7));
  record.code = absl::StatusCode::kInvalidArgument;
  record.request_bytes = 10;
  record.response_bytes = 20;
  record.elements = 3;
  record.batch_requests = 2;
  record.tenant = "blue";
  record.steps.queue = {record.received,
                        record.received + absl::Milliseconds(2)};

  const auto lines =
      Log({.access_log = true}, 1, record,
          {.traceparent = kParent, .request_id = "from-the-proxy_1.2"});

  ASSERT_EQ(lines.size(), 1u);
  const nlohmann::json& line = lines[0];
  EXPECT_EQ(line["event"], "request");
  EXPECT_EQ(line["level"], "info");
  EXPECT_EQ(line["method"], "Forward");
  EXPECT_EQ(line["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(line["micros"], 7000);
  EXPECT_EQ(line["queue_micros"], 2000);
  EXPECT_FALSE(line.contains("compile_micros"));
  EXPECT_EQ(line["peer"], "ipv4:1.2.3.4:5");
  EXPECT_EQ(line["request_id"], "from-the-proxy_1.2");
  EXPECT_EQ(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(line["tenant"], "blue");
  EXPECT_EQ(line["request_bytes"], 10);
  EXPECT_EQ(line["response_bytes"], 20);
  EXPECT_EQ(line["elements"], 3);
  EXPECT_EQ(line["batch_requests"], 2);
}

TEST(CallObserver, LogsOnlySlowCallsAsSlow) {
  const CallObserver::Options options = {.slow_request =
                                             absl::Milliseconds(10)};
  EXPECT_TRUE(Log(options, 1, RecordOf(absl::Milliseconds(10))).empty());

  const auto lines = Log(options, 1, RecordOf(absl::Milliseconds(11)));

  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["event"], "slow_request");
  EXPECT_EQ(lines[0]["level"], "warning");
}

TEST(CallObserver, LogsASlowCallOnce) {
  const auto lines =
      Log({.slow_request = absl::Milliseconds(1), .access_log = true},
          CallObserver::kMaxSlowLinesPerSecond + 1,
          RecordOf(absl::Milliseconds(9)));

  // The last one was one too many for slow ones.
  ASSERT_EQ(lines.size(), CallObserver::kMaxSlowLinesPerSecond + 2u);
  for (int i = 0; i < CallObserver::kMaxSlowLinesPerSecond; ++i) {
    EXPECT_EQ(lines[i]["event"], "slow_request");
  }
  EXPECT_EQ(lines[CallObserver::kMaxSlowLinesPerSecond]["event"], "request");
}

// All calls end in one second.
TEST(CallObserver, CountsTheLinesThatItLeavesOut) {
  const auto slow = Log({.slow_request = absl::Milliseconds(1)},
                        CallObserver::kMaxSlowLinesPerSecond + 5,
                        RecordOf(absl::Milliseconds(9)));
  ASSERT_EQ(slow.size(), CallObserver::kMaxSlowLinesPerSecond + 1u);
  EXPECT_EQ(slow.back()["event"], "lines_left_out");
  EXPECT_EQ(slow.back()["of"], "slow_request");
  EXPECT_EQ(slow.back()["lines"], 5);

  const auto all =
      Log({.access_log = true}, CallObserver::kMaxAccessLinesPerSecond + 7,
          RecordOf(absl::Milliseconds(9)));
  ASSERT_EQ(all.size(), CallObserver::kMaxAccessLinesPerSecond + 1u);
  EXPECT_EQ(all.back()["of"], "request");
  EXPECT_EQ(all.back()["lines"], 7);
}

TEST(CallObserver, TakesRequestIdsThatAreIds) {
  const CallObserver observer({.access_log = true}, nullptr);
  EXPECT_EQ(observer.IdsOf({.request_id = "a-1"}).request_id, "a-1");
  const std::string long_id(65, 'a');
  for (absl::string_view bad :
       {absl::string_view(""), absl::string_view("a b"),
        absl::string_view("a\"b"), absl::string_view("Bearer:x"),
        absl::string_view(long_id)}) {
    const std::string id = observer.IdsOf({.request_id = bad}).request_id;
    EXPECT_NE(id, bad);
    EXPECT_EQ(id.size(), 16u);
  }
  EXPECT_NE(observer.IdsOf({}).request_id, observer.IdsOf({}).request_id);
}

TEST(CallObserver, FollowsItsCallersTrace) {
  TraceQueue traces;
  const CallObserver observer({.sample_ratio = 0}, &traces);

  const CallIds ids =
      observer.IdsOf({.traceparent = kParent, .tracestate = "vendor=x"});

  ASSERT_TRUE(ids.trace.has_value() && ids.parent.has_value());
  EXPECT_TRUE(ids.trace->sampled);
  EXPECT_EQ(ToHex(ids.trace->trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(ToHex(*ids.parent), "00f067aa0ba902b7");
  EXPECT_NE(ids.trace->span_id, *ids.parent);
  EXPECT_EQ(ids.trace_state, "vendor=x");
}

TEST(CallObserver, RecordsNothingThatItsCallerDoesNot) {
  TraceQueue traces;
  const CallObserver observer({.sample_ratio = 1}, &traces);

  EXPECT_FALSE(
      observer.IdsOf({.traceparent = kUnsampledParent}).trace->sampled);
  EXPECT_TRUE(observer.IdsOf({}).trace->sampled);
  EXPECT_TRUE(observer.IdsOf({.traceparent = "nonsense"}).trace->sampled);
}

TEST(CallObserver, BeginsTracesAtItsRatio) {
  TraceQueue traces;
  const CallObserver observer({.sample_ratio = 0.25}, &traces);
  constexpr int kNumCalls = 20'000;
  int num_sampled = 0;
  for (int i = 0; i < kNumCalls; ++i) {
    const CallIds ids = observer.IdsOf({});
    if (!ids.trace.has_value()) continue;
    EXPECT_TRUE(IsSampled(ids.trace->trace_id, 0.25));
    EXPECT_FALSE(ids.parent.has_value());
    ++num_sampled;
  }
  // Six standard deviations.
  EXPECT_NEAR(num_sampled, kNumCalls / 4, 370);
}

TEST(CallObserver, RecordsNoTraceWhileTracingIsOff) {
  CallObserver observer({.access_log = true, .sample_ratio = 1}, nullptr);
  EXPECT_FALSE(observer.IdsOf({}).trace.has_value());
  EXPECT_FALSE(observer.IdsOf({.traceparent = kParent}).trace->sampled);
}

TEST(CallObserver, CutsNoTraceStateShort) {
  TraceQueue traces;
  const CallObserver observer({}, &traces);
  const std::string fits(512, 'a');
  const std::string too_long(513, 'a');
  const auto state = [&](const std::string& text) {
    return observer.IdsOf({.traceparent = kParent, .tracestate = text})
        .trace_state;
  };
  EXPECT_EQ(state(fits), fits);
  EXPECT_EQ(state(too_long), "");
}

}  // namespace
}  // namespace actserve
