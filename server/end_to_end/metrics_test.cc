// What Prometheus reads of a server: that it is right, that it is documented,
// and that no client can make it more or keep others from it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/end_to_end/scrape.h"
#include "server/end_to_end/server_test.h"

namespace actserve::testing {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kService[] = "actserve.v1.ActivationService";

// A series of grpc_server_handled_total.
std::string Handled(const std::string& method, const std::string& code) {
  const bool ours = method != "other";
  return absl::StrCat("grpc_server_handled_total{grpc_code=\"", code,
                      "\",grpc_method=\"", method, "\",grpc_service=\"",
                      ours ? kService : "other", "\",grpc_type=\"",
                      ours ? "unary" : "other", "\"}");
}

class MetricsTest : public ServerTest {
 protected:
  static void SetUpTestSuite() {
    StartServer({"--device=cpu", "--metrics=127.0.0.1:0"});
    address_ = MetricsAddressOf(*server_);
  }

  static std::map<std::string, double> Read() {
    return SeriesOf(Scrape(address_));
  }
  // A call is counted once its answer is sent, which its client may see first.
  static std::map<std::string, double> ReadUntil(const std::string& series,
                                                 double value) {
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    std::map<std::string, double> read = Read();
    while (read[series] < value && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(10));
      read = Read();
    }
    return read;
  }

  inline static std::string address_;
};

TEST_F(MetricsTest, CountCallsByMethodAndCode) {
  std::map<std::string, double> before = Read();
  v1::ForwardResponse response;
  const std::vector<float> x(1000, 1);
  constexpr int kCalls = 20;

  for (int i = 0; i < kCalls; ++i) {
    ASSERT_TRUE(Forward(*stub_, ForwardOf("relu", x), &response).ok());
  }
  Forward(*stub_, ForwardOf("no_such", x), &response);
  Forward(*stub_, ForwardOf("", x), &response);
  CallRaw(channel_, "/no.such.Service/Method", "");
  CallRaw(channel_, "/grpc.health.v1.Health/Check", "");
  CallRaw(channel_, "/grpc.health.v1.Health/Check", "garbage");
  CallRaw(channel_, absl::StrCat("/", kService, "/Forwards"), "");

  std::map<std::string, double> after =
      ReadUntil(Handled("other", "Unimplemented"),
                before[Handled("other", "Unimplemented")] + 2);
  const auto more = [&](const std::string& series) {
    EXPECT_TRUE(after.contains(series)) << series;
    return after[series] - before[series];
  };
  EXPECT_EQ(more(Handled("Forward", "OK")), kCalls);
  EXPECT_EQ(more(Handled("Forward", "NotFound")) +
                more(Handled("Forward", "InvalidArgument")),
            2);
  EXPECT_EQ(more("actserve_refusals_total{reason=\"invalid\"}"),
            more(Handled("Forward", "InvalidArgument")));
  EXPECT_EQ(more(Handled("Backward", "OK")), 0);
  EXPECT_EQ(more(Handled("other", "Unimplemented")), 2);
  EXPECT_EQ(more(Handled("other", "OK")), 1);
  EXPECT_EQ(more(Handled("other", "InvalidArgument")), 1);
  EXPECT_GE(more("actserve_received_bytes_total"), kCalls * 4000);
  EXPECT_GE(more("actserve_sent_bytes_total"), kCalls * 4000);
  EXPECT_LT(more("actserve_sent_bytes_total"), kCalls * 4400);
  EXPECT_EQ(more("grpc_server_handling_seconds_count{grpc_method=\"Forward\","
                 "grpc_service=\"actserve.v1.ActivationService\","
                 "grpc_type=\"unary\"}"),
            kCalls + 2);
}

TEST_F(MetricsTest, ShowWhatAServerKeeps) {
  std::map<std::string, double> before = Read();
  v1::ForwardRequest request = ForwardOf("relu", std::vector<float>(64, 1));
  request.set_keep_residual(true);
  v1::ForwardResponse response;

  IdOf("def of_this_test(x): return x * 1.5");
  ASSERT_TRUE(Forward(*stub_, request, &response).ok());
  std::map<std::string, double> after = Read();

  EXPECT_EQ(after["actserve_registered_activations"] -
                before["actserve_registered_activations"],
            1);
  EXPECT_EQ(after["actserve_residuals"] - before["actserve_residuals"], 1);
  EXPECT_GT(after["actserve_residual_bytes"], 64 * 4);
  EXPECT_GE(after["actserve_connections"], 1);
  EXPECT_EQ(after["actserve_device_healthy"], 1);
  EXPECT_EQ(after["actserve_draining"], 0);
  EXPECT_EQ(after["actserve_build_info{device=\"cpu\",version=\"0.1.0\"}"], 1);
  EXPECT_GT(after["actserve_memory_limit_bytes{half=\"requests\"}"], 0);
  EXPECT_GT(after["process_open_fds"], 5);
  EXPECT_GE(after["process_max_fds"], after["process_open_fds"]);
  EXPECT_GT(after["process_cpu_seconds_total"], 0);
  EXPECT_NEAR(after["process_start_time_seconds"],
              absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()), 600);
}

// The names in the table of docs/metrics.md, and nothing else.
TEST_F(MetricsTest, AreThoseOfTheDocuments) {
  std::set<std::string> served;
  for (absl::string_view line : absl::StrSplit(Scrape(address_), '\n')) {
    if (!absl::ConsumePrefix(&line, "# TYPE ")) continue;
    served.emplace(line.substr(0, line.find(' ')));
  }
  std::set<std::string> documented;
  std::ifstream file(ACTSERVE_METRICS_PAGE);
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> columns = absl::StrSplit(line, '|');
    if (columns.size() != 6 ||
        !(columns[2] == " counter " || columns[2] == " gauge " ||
          columns[2] == " histogram ")) {
      continue;
    }
    const std::vector<std::string> words = absl::StrSplit(columns[1], '`');
    for (size_t i = 1; i < words.size(); i += 2) documented.insert(words[i]);
  }

  EXPECT_GT(documented.size(), 30);
  EXPECT_THAT(served, ElementsAreArray(documented));
}

TEST_F(MetricsTest, DocumentEveryReason) {
  std::ifstream file(ACTSERVE_METRICS_PAGE);
  std::ostringstream page;
  page << file.rdbuf();
  int num_reasons = 0;

  for (const auto& [series, value] : Read()) {
    absl::string_view reason = series;
    if (!absl::ConsumePrefix(&reason, "actserve_refusals_total{reason=\"")) {
      continue;
    }
    ++num_reasons;
    EXPECT_THAT(page.str(), HasSubstr(absl::StrCat(
                                "`", reason.substr(0, reason.find('"')), "`")));
  }
  EXPECT_GT(num_reasons, 10);
}

// Clients that invent methods, names, texts, metadata and handles add no
// series: the memory of Prometheus is not theirs to fill.
TEST_F(MetricsTest, DoNotGrowWithWhatClientsSend) {
  std::mt19937 random(7);
  std::set<std::string> before;
  for (const auto& [series, value] : Read()) before.insert(series);
  v1::ForwardResponse response;

  for (int i = 0; i < 200; ++i) {
    CallRaw(channel_, absl::StrCat("/", random(), "/", random()), "");
    CallRaw(channel_, absl::StrCat("/", kService, "/", random()), "");
    v1::ForwardRequest request =
        ForwardOf(absl::StrCat("name_", random()), {1});
    Forward(*stub_, request, &response);
  }
  for (int i = 0; i < 1000; ++i) {
    IdOf(absl::StrCat("def f", i, "(x): return x * ", i + 2));
  }
  std::set<std::string> after;
  for (const auto& [series, value] : Read()) after.insert(series);

  EXPECT_EQ(after, before);
  EXPECT_LT(after.size(), 1000);
}

TEST_F(MetricsTest, AnswerGarbageWithAnError) {
  std::mt19937 random(11);
  std::string noise(5000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  const std::string requests[] = {
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /metrics/../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
      "GET /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
      absl::StrCat("GET /", std::string(100'000, 'a'), " HTTP/1.1\r\n\r\n"),
      absl::StrCat("GET /metrics HTTP/1.1\r\nHost: a\r\nX: ",
                   std::string(100'000, 'a'), "\r\n\r\n"),
      "\r\n\r\n\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      noise + "\r\n\r\n"};

  for (const std::string& request : requests) {
    SCOPED_TRACE(request.substr(0, 50));
    const int fd = ConnectFrom("127.0.0.1", address_);
    ASSERT_GE(fd, 0);
    const std::string answer = Exchange(fd, request);
    close(fd);
    EXPECT_THAT(answer, Not(StartsWith("HTTP/1.1 2")));
  }
  EXPECT_THAT(Scrape(address_), HasSubstr("actserve_build_info"));
}

// A host that opens many connections and says nothing, or half of a request,
// costs a few descriptors, and Prometheus on another host does not notice.
TEST_F(MetricsTest, AreServedWhileAnotherHostHoldsConnections) {
  const double idle = Read()["process_open_fds"];
  std::vector<int> sockets;
  for (int i = 0; i < 300; ++i) {
    const int fd = ConnectFrom("127.0.0.2", address_);
    if (fd < 0) continue;
    if (i % 2 == 1) {
      send(fd, "GET /metrics HTTP/1.1\r\nA: ", 26, MSG_NOSIGNAL);
    }
    sockets.push_back(fd);
  }
  EXPECT_GT(sockets.size(), 100);

  const std::string text = Scrape(address_);
  v1::ForwardResponse response;
  const bool served = Forward(*stub_, ForwardOf("relu", {1}), &response).ok();

  EXPECT_THAT(text, HasSubstr("actserve_build_info"));
  EXPECT_LE(SeriesOf(text)["process_open_fds"], idle + 16);
  EXPECT_TRUE(served);
  for (int fd : sockets) close(fd);
}

// Readers that do not read what they asked for.
TEST_F(MetricsTest, AreServedWhileAnotherHostDoesNotRead) {
  std::vector<int> sockets;
  for (int i = 0; i < 8; ++i) {
    const int fd = ConnectFrom("127.0.0.2", address_);
    ASSERT_GE(fd, 0);
    constexpr absl::string_view kRequest =
        "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
    send(fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL);
    sockets.push_back(fd);
  }

  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(Scrape(address_), HasSubstr("actserve_build_info"));
  }
  for (int fd : sockets) close(fd);
}

// Clients that send a byte now and then once kept their places for good, so
// that Prometheus on the same host got none.
TEST_F(MetricsTest, CloseConnectionsThatTrickle) {
  std::vector<int> sockets;
  for (int i = 0; i < 8; ++i) {
    sockets.push_back(ConnectFrom("127.0.0.3", address_));
    ASSERT_GE(sockets.back(), 0);
    ASSERT_EQ(
        send(sockets.back(), "GET /metrics HTTP/1.1\r\nA: ", 26, MSG_NOSIGNAL),
        26);
  }
  const absl::Time begin = absl::Now();

  // Closed by the server, as the socket tells.
  const auto is_closed = [](int fd) {
    char byte = 0;
    return send(fd, "a", 1, MSG_NOSIGNAL) < 0 ||
           recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
  };
  while (!std::ranges::all_of(sockets, is_closed) &&
         absl::Now() < begin + absl::Minutes(1)) {
    absl::SleepFor(absl::Milliseconds(500));
  }

  EXPECT_GT(absl::Now() - begin, absl::Seconds(8));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(30));
  EXPECT_THAT(Scrape(address_, "127.0.0.3"), HasSubstr("actserve_build_info"));
  for (int fd : sockets) close(fd);
}

// Under load, by the tool that operators have.
TEST_F(MetricsTest, SatisfyPromtool) {
  if (std::system("promtool --version >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "promtool is not installed; scripts/setup fetches it";
  }
  std::atomic<bool> done = false;
  std::thread load([&] {
    v1::ForwardResponse response;
    while (!done) Forward(*stub_, ForwardOf("gelu", {1, 2, 3}), &response);
  });
  const std::string path =
      (std::filesystem::path(server_->port_file()).parent_path() / "scrape")
          .string();
  std::ofstream(path) << Scrape(address_);
  std::FILE* const pipe = popen(
      absl::StrCat("promtool check metrics <", path, " 2>&1").c_str(), "r");
  std::string output;
  char bytes[4096];
  while (const size_t count = std::fread(bytes, 1, sizeof(bytes), pipe)) {
    output.append(bytes, count);
  }
  const int status = pclose(pipe);
  done = true;
  load.join();

  EXPECT_EQ(status, 0);
  EXPECT_EQ(output, "");
}

// A server that waits for its balancer to notice still tells Prometheus so.
TEST(Metrics, GoOnWhileAServerDrains) {
  auto server = ServerProcess::Start(
      BinaryOfBuild(ACTSERVED_BINARY),
      {"--device=cpu", "--metrics=127.0.0.1:0", "--drain_delay=1m"});
  ASSERT_TRUE(server.ok()) << server.status();

  (*server)->Signal(SIGTERM);
  ASSERT_TRUE((*server)->WaitForEvent("draining"));
  std::map<std::string, double> read;
  while (read["actserve_draining"] == 0) {
    read = SeriesOf(Scrape(MetricsAddressOf(**server)));
    ASSERT_FALSE(read.empty());
  }
  (*server)->Signal(SIGTERM);

  EXPECT_EQ((*server)->Wait(), 0);
}

TEST(Metrics, AreServedOverIpv6) {
  auto server = ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY),
                                     {"--device=cpu", "--metrics=[::1]:0"});
  if (!server.ok()) {
    ASSERT_THAT(std::string(server.status().message()),
                HasSubstr("Cannot assign requested address"));
    GTEST_SKIP() << "this machine has no IPv6";
  }
  const std::string address = MetricsAddressOf(**server);

  EXPECT_THAT(address, StartsWith("[::1]:"));
  EXPECT_THAT(Scrape(address, "::1"), HasSubstr("actserve_build_info"));
}

TEST(Metrics, RefuseAddressesThatAreNone) {
  const std::string taken = [] {
    static const auto server =
        *ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY),
                              {"--device=cpu", "--metrics=localhost:0"});
    return MetricsAddressOf(*server);
  }();
  ASSERT_THAT(taken, StartsWith("localhost:"));

  const std::pair<std::string, std::string> cases[] = {
      {"nonsense", "metrics: nonsense is not host:port"},
      {"127.0.0.1:65536", "metrics: 127.0.0.1:65536: port 65536 is not in 0"},
      {"::1:9464", "metrics: ::1:9464: write an IPv6 address as [address]:"},
      {"host.invalid:1", "metrics: host.invalid:1: "},
      {"192.0.2.1:9464", "metrics: cannot bind 192.0.2.1:9464: "},
      {taken,
       absl::StrCat("metrics: cannot bind ", taken, ": Address already")},
  };
  for (const auto& [address, message] : cases) {
    SCOPED_TRACE(address);
    const auto server = ServerProcess::Start(
        BinaryOfBuild(ACTSERVED_BINARY),
        {"--device=cpu", absl::StrCat("--metrics=", address)});
    ASSERT_FALSE(server.ok());
    EXPECT_THAT(std::string(server.status().message()), HasSubstr(message));
  }
}

}  // namespace
}  // namespace actserve::testing
