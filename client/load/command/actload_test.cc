// Runs the program itself against a server.

#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

struct Result {
  int code = -1;
  std::string output;  // and errors
};

Result Actload(const std::string& arguments) {
  Result result;
  FILE* pipe =
      popen(absl::StrCat(testing::BinaryOfBuild(ACTSERVE_BINARIES "/actload"),
                         " ", arguments, " 2>&1")
                .c_str(),
            "r");
  char buffer[4096];
  while (const size_t size = fread(buffer, 1, sizeof(buffer), pipe)) {
    result.output.append(buffer, size);
  }
  result.code = WEXITSTATUS(pclose(pipe));
  return result;
}

json ReadJson(const std::string& path) {
  std::ifstream file(path);
  return json::parse(file);
}

class ActloadTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto server = testing::ServerProcess::Start(
        testing::BinaryOfBuild(ACTSERVE_BINARIES "/actserved"),
        {"--metrics=127.0.0.1:0"});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = server->release();
    for (const std::string& line : server_->log()) {
      const json event = json::parse(line, nullptr, false);
      if (event.contains("metrics")) metrics_ = event["metrics"];
    }
  }
  static void TearDownTestSuite() { delete server_; }

  // Of this test.
  std::string PathOf(const std::string& name) const {
    return absl::StrCat(::testing::TempDir(), "actload_test.", getpid(), ".",
                        name);
  }
  static std::string Address() {
    return absl::StrCat("--address=", server_->tcp_address(), " ");
  }

  static testing::ServerProcess* server_;
  static std::string metrics_;
};

testing::ServerProcess* ActloadTest::server_ = nullptr;
std::string ActloadTest::metrics_;

TEST_F(ActloadTest, LoadsEveryKindOfRequestAndComparesAnswers) {
  const std::string file = PathOf("mix.json");
  std::string requests;
  for (const char* request :
       {"forward:relu:float32:100", "partials:glu:bfloat16:4x5",
        "residual:gelu:float16:8", "stateless:softmax:float64:3x7", "register",
        "hostile", "stream:relu:float32:2097152:0.02"}) {
    absl::StrAppend(&requests, " --request=", request);
  }
  const Result result = Actload(absl::StrCat(
      "run ", Address(), requests, " --verify=1 --rate=300 --max_lag=10 ",
      "--seconds=0.5 --warmup=0 --window=0.1 --max_in_flight=64 --json=", file,
      " --metrics=", metrics_, " --condition='errors == 0' ",
      "--condition='server.grpc_server_handled_total.growth >= ok'"));

  EXPECT_EQ(result.code, 0) << result.output;
  const json run = ReadJson(file);
  EXPECT_EQ(run["schema"], "actload.run/1");
  EXPECT_EQ(run["verdict"], "passed");
  const json& workload = run["phases"][0]["workloads"][0];
  for (const json& request : workload["requests"]) {
    const json& figures = request["figures"];
    const std::string name = request["name"];
    const bool has_tensors =
        !name.starts_with("register") && !name.starts_with("hostile");
    // Streams are rare: each has 8 MiB.
    const int least = name.starts_with("stream") ? 0 : 1;
    EXPECT_GE(figures["ok"], least) << name;
    EXPECT_EQ(figures["verified"], has_tensors ? figures["ok"] : json(0))
        << name;
    EXPECT_EQ(figures["wrong"], 0) << name;
  }
  EXPECT_EQ(workload["windows"].size(), 5u);
}

TEST_F(ActloadTest, TheExitCodeTellsWhatFailed) {
  struct Case {
    std::string arguments;
    int code;
    std::string output;
  };
  const std::string short_run =
      Address() + "--seconds=0.1 --window=0.1 --warmup=0 ";
  const Case cases[] = {
      {"run " + short_run + "--condition='p99 <= 1us'", 3, "FAIL  p99 <= 1us"},
      {"run " + short_run + "--rate=2000 --max_lag=1e-9", 4,
       "verdict: invalid"},
      {"run " + short_run + "--condition='p98 <= 1us'", 1,
       "figure 'p98': 'p98' is none of"},
      {"run " + short_run + "--rate=1 --in_flight=1", 2, "excludes"},
      {"run --address=127.0.0.1:1 --timeout=0.2", 1, "UNAVAILABLE"},
      {"run " + short_run + "--request=forward:nosuch", 1, "NOT_FOUND"},
      {"run " + short_run + "--metrics=127.0.0.1:1", 1, "UNAVAILABLE"},
      {"run /nonexistent", 1, "/nonexistent"},
      {"report /dev/null", 1, "is no run of the schema actload.run/1"},
      {"", 2, "subcommand"}};
  for (const Case& each : cases) {
    SCOPED_TRACE(each.arguments);
    const Result result = Actload(each.arguments);
    EXPECT_EQ(result.code, each.code) << result.output;
    EXPECT_THAT(result.output, HasSubstr(each.output));
  }
}

TEST_F(ActloadTest, ComparesAndReportsWhatItWrote) {
  const std::string file = PathOf("run.json");
  const std::string page = PathOf("run.html");
  ASSERT_EQ(Actload(absl::StrCat("run ", Address(),
                                 "--seconds=0.5 --warmup=0 --window=0.05 "
                                 "--in_flight=2 --json=",
                                 file))
                .code,
            0);

  const Result same = Actload(absl::StrCat("compare ", file, " ", file));
  const Result report =
      Actload(absl::StrCat("report ", file, " --html=", page));

  EXPECT_EQ(same.code, 0) << same.output;
  EXPECT_THAT(same.output, HasSubstr("\nno change beyond noise\n"));
  EXPECT_EQ(report.code, 0) << report.output;
  std::stringstream html;
  html << std::ifstream(page).rdbuf();
  EXPECT_THAT(html.str(), HasSubstr("Chart.js v"));
  EXPECT_THAT(html.str(), HasSubstr("\"schema\":\"actload.run/1\""));
  // It opens without a network.
  EXPECT_EQ(html.str().find(" src="), std::string::npos);
  EXPECT_EQ(html.str().find(" href="), std::string::npos);
}

TEST_F(ActloadTest, FindsThePeak) {
  const std::string file = PathOf("peak.json");
  const Result result =
      Actload(absl::StrCat("find-peak ", Address(),
                           "--window=0.05 --max_in_flight=2 --precision=1 "
                           "--max_lag=10 --slo=p50=1s --json=",
                           file));

  const json peak = ReadJson(file)["peak"];
  EXPECT_GT(peak["closed_rate"], 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("peak: "));
}

TEST_F(ActloadTest, TheSameSeedSendsTheSame) {
  const std::string first = PathOf("1.trace");
  const std::string second = PathOf("2.trace");
  for (const std::string& file : {first, second}) {
    ASSERT_EQ(Actload(absl::StrCat(
                          "run ", Address(),
                          "--rate=500 --seconds=0.2 --window=0.1 --warmup=0 "
                          "--max_lag=10 --request=forward --request=register "
                          "--seed=5 --max_in_flight=64 --record_trace=",
                          file))
                  .code,
              0);
  }
  std::stringstream a, b;
  a << std::ifstream(first).rdbuf();
  b << std::ifstream(second).rdbuf();
  // Both end at 0.2 s, one perhaps a request later.
  const size_t common = std::min(a.str().size(), b.str().size()) - 100;
  EXPECT_GT(common, 1000u);
  EXPECT_EQ(a.str().substr(0, common), b.str().substr(0, common));
}

}  // namespace
}  // namespace actserve
