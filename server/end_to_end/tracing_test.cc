// Traces of a whole server, as a collector gets them, and what its log says of
// calls.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "grpcpp/client_context.h"
#include "nlohmann/json.hpp"
#include "server/end_to_end/calls.h"
#include "server/testing/otlp_sink.h"
#include "server/testing/server_process.h"

namespace actserve::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr char kSpan[] = "00f067aa0ba902b7";

class Tracing : public ::testing::Test {
 protected:
  void Start(const std::vector<std::string>& flags) {
    auto server = ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY), flags);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::ActivationService::NewStub(ChannelTo(server_->tcp_address()));
  }

  grpc::Status ForwardWith(
      const std::vector<std::pair<std::string, std::string>>& headers,
      const v1::ForwardRequest& request) {
    grpc::ClientContext context;
    for (const auto& [key, value] : headers) context.AddMetadata(key, value);
    v1::ForwardResponse response;
    return stub_->Forward(&context, request, &response);
  }

  // The lines of the log with this event, once the server has ended.
  std::vector<nlohmann::json> LinesOf(const std::string& event) const {
    std::vector<nlohmann::json> lines;
    for (const std::string& text : server_->log()) {
      nlohmann::json line = nlohmann::json::parse(text);
      if (line["event"] == event) lines.push_back(std::move(line));
    }
    return lines;
  }

  void Stop() {
    server_->Signal(SIGTERM);
    EXPECT_EQ(server_->Wait(), 0);
    // All lines were read when this is false.
    server_->WaitForEvent("none");
  }

  OtlpSink sink_;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<Stub> stub_;
};

// The first call of a program waits for its compilation; all is sent before the
// process ends.
TEST_F(Tracing, ACallsStepsAreBelowItsCallersSpan) {
  Start({"--device=cpu", "--inline_bytes=-1", "--trace_sample_ratio=0",
         absl::StrCat("--otlp_endpoint=", sink_.address())});
  ASSERT_TRUE(ForwardWith({{"traceparent",
                            absl::StrCat("00-", kTrace, "-", kSpan, "-01")},
                           {"tracestate", "vendor=x"}},
                          ForwardOf("gelu", {1, 2, 3}))
                  .ok());
  // Neither of these is recorded.
  ASSERT_TRUE(ForwardWith({}, ForwardOf("gelu", {1})).ok());
  ASSERT_TRUE(ForwardWith({{"traceparent",
                            absl::StrCat("00-", kTrace, "-", kSpan, "-00")}},
                          ForwardOf("gelu", {1}))
                  .ok());
  Stop();

  const std::vector<OtlpSink::Span> spans = sink_.AwaitSpans(4);
  std::map<std::string, OtlpSink::Span> by_name;
  std::vector<std::string> names;
  for (const auto& span : spans) {
    by_name[span.name()] = span;
    names.push_back(span.name());
  }
  const std::string call = "actserve.v1.ActivationService/Forward";
  ASSERT_THAT(names, UnorderedElementsAre(call, "compile", "queue", "compute"));
  const OtlpSink::Span& root = by_name[call];
  EXPECT_EQ(absl::BytesToHexString(root.trace_id()), kTrace);
  EXPECT_EQ(absl::BytesToHexString(root.parent_span_id()), kSpan);
  EXPECT_EQ(root.trace_state(), "vendor=x");
  EXPECT_EQ(AttributeOf(root, "actserve.elements"), "3");
  EXPECT_EQ(AttributeOf(root, "actserve.device"), "cpu");
  EXPECT_EQ(AttributeOf(root, "actserve.batch_requests"), "1");
  EXPECT_EQ(AttributeOf(root, "rpc.grpc.status_code"), "0");
  uint64_t before = root.start_time_unix_nano();
  for (const char* name : {"compile", "queue", "compute"}) {
    SCOPED_TRACE(name);
    const OtlpSink::Span& step = by_name[name];
    EXPECT_EQ(step.trace_id(), root.trace_id());
    EXPECT_EQ(step.parent_span_id(), root.span_id());
    EXPECT_GE(step.start_time_unix_nano(), before);
    EXPECT_GE(step.end_time_unix_nano(), step.start_time_unix_nano());
    EXPECT_LE(step.end_time_unix_nano(), root.end_time_unix_nano());
    before = step.end_time_unix_nano();
  }
}

TEST_F(Tracing, RecordsEveryMethodAndItsErrors) {
  Start({"--trace_sample_ratio=1",
         absl::StrCat("--otlp_endpoint=", sink_.address())});
  v1::RegisterActivationResponse registered;
  ASSERT_TRUE(Register(*stub_, "def f(x):\n    return x\n", &registered).ok());
  v1::ForwardResponse response;
  ASSERT_FALSE(Forward(*stub_, ForwardOf("none", {1}), &response).ok());
  grpc::ClientContext context;
  v1::ServerInfo info;
  ASSERT_TRUE(stub_->GetServerInfo(&context, {}, &info).ok());
  Stop();

  // One of the four waited for a thread.
  std::map<std::string, OtlpSink::Span> by_name;
  for (const auto& span : sink_.AwaitSpans(4)) by_name[span.name()] = span;
  const std::string service = "actserve.v1.ActivationService/";
  EXPECT_EQ(by_name.count(service + "RegisterActivation"), 1u);
  EXPECT_EQ(by_name.count(service + "GetServerInfo"), 1u);
  EXPECT_EQ(by_name.count("queue"), 1u);
  const OtlpSink::Span& failed = by_name[service + "Forward"];
  EXPECT_EQ(AttributeOf(failed, "rpc.grpc.status_code"), "5");
  EXPECT_TRUE(failed.parent_span_id().empty());
}

TEST_F(Tracing, ServesWhileTheCollectorHangs) {
  sink_.Hang(true);
  Start({"--trace_sample_ratio=1",
         absl::StrCat("--otlp_endpoint=", sink_.address())});
  for (int i = 0; i < 6000; ++i) {
    v1::ForwardResponse response;
    ASSERT_TRUE(Forward(*stub_, ForwardOf("relu", {1}), &response).ok());
  }
  Stop();

  int64_t num_dropped = 0;
  for (const nlohmann::json& line : LinesOf("traces_dropped")) {
    num_dropped += line["calls"].get<int64_t>();
  }
  EXPECT_EQ(num_dropped, 6000);
}

TEST_F(Tracing, TheLogTellsWhatACallIsKnownBy) {
  const std::pair<std::string, std::string> cases[] = {
      {"--access_log", "request"}, {"--slow_request=1ns", "slow_request"}};
  for (const auto& [flag, event] : cases) {
    SCOPED_TRACE(event);
    Start({flag, "--inline_bytes=-1"});
    ASSERT_TRUE(ForwardWith({{"traceparent",
                              absl::StrCat("00-", kTrace, "-", kSpan, "-01")},
                             {"x-request-id", "from-a-proxy"}},
                            ForwardOf("gelu", {1, 2, 3}))
                    .ok());
    v1::RegisterActivationResponse registered;
    ASSERT_TRUE(
        Register(*stub_, "def f(x):\n    return 3 * x + 1\n", &registered)
            .ok());
    Stop();

    const auto lines = LinesOf(event);
    ASSERT_THAT(lines, SizeIs(2));
    EXPECT_EQ(lines[0]["method"], "Forward");
    EXPECT_EQ(lines[0]["code"], "OK");
    EXPECT_EQ(lines[0]["request_id"], "from-a-proxy");
    EXPECT_EQ(lines[0]["trace_id"], kTrace);
    EXPECT_EQ(lines[0]["elements"], 3);
    for (const char* step : {"compile", "queue", "compute"}) {
      const std::string key = absl::StrCat(step, "_micros");
      ASSERT_TRUE(lines[0].contains(key)) << key;
      EXPECT_LE(lines[0][key], lines[0]["micros"]);
    }
    EXPECT_EQ(lines[1]["method"], "RegisterActivation");
    // Two lines about one call have one id.
    const auto registrations = LinesOf("registered");
    ASSERT_THAT(registrations, SizeIs(1));
    EXPECT_EQ(registrations[0]["request_id"], lines[1]["request_id"]);
  }
}

// Texts, names, values, tokens and what errors quote of them stay out of the
// log and of the traces, whatever is logged.
TEST_F(Tracing, NothingThatAClientSentIsLoggedOrExported) {
  Start({"--log_level=debug", "--access_log", "--slow_request=1ns",
         "--trace_sample_ratio=1",
         absl::StrCat("--otlp_endpoint=", sink_.address())});
  const std::vector<std::pair<std::string, std::string>> headers = {
      {"authorization", "Bearer secrettoken"},
      {"x-request-id", "Bearer secrettoken"},
      {"traceparent", "secret"},
      {"user-name", "secretuser"}};
  v1::RegisterActivationRequest registration;
  registration.set_text(
      "def secretfunction(x, secretparameter=1.0):\n"
      "    return x * SECRETCONSTANT * secretparameter + 8765.4321\n");
  (*registration.mutable_constants())["SECRETCONSTANT"] = 1234.5678;
  v1::RegisterActivationResponse registered;
  ASSERT_TRUE(Register(*stub_, registration, &registered).ok());
  v1::ForwardRequest good =
      ForwardOf(registered.activation().id(), {31415.9265f});
  SetParameter("secretparameter", 2718.28, good.mutable_parameters());
  ASSERT_TRUE(ForwardWith(headers, good).ok());

  // Each error quotes what was wrong.
  const grpc::Status unknown =
      ForwardWith(headers, ForwardOf("secretactivation", {1}));
  EXPECT_THAT(unknown.error_message(), HasSubstr("secretactivation"));
  SetParameter("secretother", 1, good.mutable_parameters());
  EXPECT_THAT(ForwardWith(headers, good).error_message(),
              HasSubstr("secretother"));
  registration.set_text("def f(x):\n    return secretname(x)\n");
  EXPECT_THAT(Register(*stub_, registration, &registered).error_message(),
              HasSubstr("secretname"));
  Stop();

  const std::string log = absl::StrJoin(server_->log(), "\n");
  EXPECT_THAT(log, HasSubstr("\"event\":\"slow_request\""));
  std::string exported;
  sink_.AwaitSpans(7);
  for (const auto& request : sink_.requests()) {
    exported += request.SerializeAsString();
  }
  EXPECT_THAT(exported, HasSubstr("RegisterActivation"));
  for (const std::string& text : {log, exported}) {
    EXPECT_THAT(absl::AsciiStrToLower(text), Not(HasSubstr("secret")));
    for (const char* number : {"8765.4", "1234.5", "31415.9", "2718.2"}) {
      EXPECT_THAT(text, Not(HasSubstr(number)));
    }
  }
}

}  // namespace
}  // namespace actserve::testing
