// How a server starts and how it ends.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/client_context.h"
#include "server/end_to_end/calls.h"
#include "server/testing/server_process.h"

namespace actserve::testing {
namespace {

using grpc::health::v1::HealthCheckResponse;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

class Lifecycle : public ::testing::Test {
 protected:
  void Start(const std::vector<std::string>& flags = {}) {
    auto server = ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY), flags);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = ChannelTo(server_->tcp_address());
    stub_ = v1::ActivationService::NewStub(channel_);
  }

  static std::vector<std::string> SlowFlags() {
    return {"--log_level=debug", "--max_program_weight=1000000"};
  }

  // A Forward that takes a second or so: its program is new and large.
  // Needs SlowFlags().
  std::future<grpc::Status> StartSlowForward() {
    std::string text = "def slow(x):\n";
    for (int i = 0; i < 30; ++i) {
      absl::StrAppend(&text, "    x = exp(sin(x)) + erf(x)\n");
    }
    v1::RegisterActivationResponse response;
    const grpc::Status status =
        Register(*stub_, text + "    return x\n", &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    const std::string id = response.activation().id();
    return std::async(std::launch::async, [this, id] {
      v1::ForwardResponse answer;
      return Forward(*stub_, ForwardOf(id, {1}), &answer);
    });
  }

  std::unique_ptr<ServerProcess> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Stub> stub_;
};

TEST_F(Lifecycle, EndsWithCodeZeroOnEitherSignal) {
  for (int signal : {SIGTERM, SIGINT}) {
    Start();
    server_->Signal(signal);
    EXPECT_EQ(server_->Wait(), 0);
  }
}

TEST_F(Lifecycle, FinishesWhatRunsAndRefusesWhatIsNew) {
  Start(SlowFlags());
  auto slow = StartSlowForward();
  ASSERT_TRUE(server_->WaitForEvent("compiling"));

  server_->Signal(SIGTERM);
  ASSERT_TRUE(server_->WaitForEvent("refusing"));

  v1::ForwardResponse response;
  EXPECT_EQ(Forward(*stub_, ForwardOf("relu", {1}), &response).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  grpc::ClientContext context;
  v1::ServerInfo info;
  EXPECT_EQ(stub_->GetServerInfo(&context, {}, &info).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(context.GetServerTrailingMetadata().count("actserve-answered"), 1u);
  const grpc::Status status = slow.get();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(server_->Wait(), 0);
}

TEST_F(Lifecycle, CutsOffWhatDoesNotFinishInTime) {
  std::vector<std::string> flags = SlowFlags();
  flags.push_back("--drain_timeout=1ms");
  Start(flags);
  auto slow = StartSlowForward();
  ASSERT_TRUE(server_->WaitForEvent("compiling"));

  server_->Signal(SIGTERM);

  EXPECT_FALSE(slow.get().ok());
  EXPECT_EQ(server_->Wait(), 0);
}

// UNAVAILABLE is repeated by every client; CANCELLED, gRPC's answer to a call
// that crosses its farewell, only by those that look for `actserve-answered`.
TEST_F(Lifecycle, GivesNoOtherErrorThanUnavailableUnderLoad) {
  for (int round = 0; round < 10; ++round) {
    Start();
    std::atomic<int64_t> num_answered = 0;
    std::vector<std::future<grpc::Status>> callers;
    for (int i = 0; i < 8; ++i) {
      callers.push_back(std::async(std::launch::async, [&] {
        const auto stub =
            v1::ActivationService::NewStub(ChannelTo(server_->tcp_address()));
        v1::ForwardResponse response;
        grpc::Status status;
        while (status.ok()) {
          status = Forward(*stub, ForwardOf("relu", {1, 2}), &response);
          ++num_answered;
        }
        return status;
      }));
    }
    while (num_answered < 200) absl::SleepFor(absl::Milliseconds(1));

    server_->Signal(SIGTERM);

    for (auto& caller : callers) {
      const grpc::Status status = caller.get();
      EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE)
          << status.error_message();
    }
    EXPECT_EQ(server_->Wait(), 0);
  }
}

// Streams, and a client that reads nothing, do not keep the process.
TEST_F(Lifecycle, EndsWhateverIsOpen) {
  Start({"--drain_timeout=1s"});
  std::vector<std::unique_ptr<grpc::health::v1::Health::Stub>> stubs;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<HealthCheckResponse>>> watches;
  for (int i = 0; i < 2000; ++i) {
    // A connection has at most 1000 calls.
    if (i % 500 == 0) {
      stubs.push_back(
          grpc::health::v1::Health::NewStub(ChannelTo(server_->tcp_address())));
    }
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    watches.push_back(stubs.back()->Watch(contexts.back().get(), {}));
  }
  HealthCheckResponse served;
  for (auto& watch : watches) ASSERT_TRUE(watch->Read(&served));
  const absl::Time start = absl::Now();

  server_->Signal(SIGTERM);

  EXPECT_EQ(server_->Wait(), 0);
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  for (auto& context : contexts) context->TryCancel();
  for (auto& watch : watches) watch->Finish();
}

TEST_F(Lifecycle, TurnsUnhealthyBeforeItRefuses) {
  Start({"--drain_delay=1h"});
  {
    auto health = grpc::health::v1::Health::NewStub(channel_);
    grpc::ClientContext context;
    auto watch = health->Watch(&context, {});
    HealthCheckResponse response;
    ASSERT_TRUE(watch->Read(&response));
    EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);

    server_->Signal(SIGTERM);

    ASSERT_TRUE(watch->Read(&response));
    EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
    v1::ForwardResponse y;
    EXPECT_TRUE(Forward(*stub_, ForwardOf("relu", {1}), &y).ok());
    context.TryCancel();
    watch->Finish();
  }
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 0);
}

// A server that drains must not be restarted for it.
TEST_F(Lifecycle, StaysAliveWhileItDrains) {
  Start({"--drain_delay=1h"});
  auto health = grpc::health::v1::Health::NewStub(channel_);
  const auto check = [&](const std::string& service) {
    grpc::ClientContext context;
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    HealthCheckResponse response;
    EXPECT_TRUE(health->Check(&context, request, &response).ok());
    return response.status();
  };
  grpc::health::v1::HealthCheckRequest liveness;
  liveness.set_service("liveness");
  grpc::ClientContext watching;
  auto watch = health->Watch(&watching, liveness);
  HealthCheckResponse first;
  ASSERT_TRUE(watch->Read(&first));
  EXPECT_EQ(first.status(), HealthCheckResponse::SERVING);
  EXPECT_EQ(check("liveness"), HealthCheckResponse::SERVING);

  server_->Signal(SIGTERM);
  ASSERT_TRUE(server_->WaitForEvent("draining"));
  while (check("") == HealthCheckResponse::SERVING) {
    absl::SleepFor(absl::Milliseconds(1));
  }

  EXPECT_EQ(check("actserve.v1.ActivationService"),
            HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(check("liveness"), HealthCheckResponse::SERVING);
  server_->Signal(SIGTERM);
  // No other status before the connection goes.
  EXPECT_FALSE(watch->Read(&first));
  EXPECT_EQ(server_->Wait(), 0);
}

TEST_F(Lifecycle, ReloadsOnHangupAndGoesOn) {
  Start({"--drain_delay=1h"});
  server_->Signal(SIGHUP);
  ASSERT_TRUE(server_->WaitForEvent("reloaded"));
  v1::ForwardResponse response;
  EXPECT_TRUE(Forward(*stub_, ForwardOf("relu", {1}), &response).ok());

  server_->Signal(SIGTERM);
  ASSERT_TRUE(server_->WaitForEvent("draining"));
  // It does not end the delay either.
  server_->Signal(SIGHUP);
  EXPECT_TRUE(Forward(*stub_, ForwardOf("relu", {1}), &response).ok());
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 0);
}

TEST_F(Lifecycle, TheSocketIsTheOwnersAlone) {
  const std::string socket =
      absl::StrCat(::testing::TempDir(), "lifecycle/s.sock");
  Start({absl::StrCat("--unix_socket=", socket)});

  struct stat info;
  ASSERT_EQ(
      stat(absl::StrCat(::testing::TempDir(), "lifecycle").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700);

  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 0);
  EXPECT_NE(stat(socket.c_str(), &info), 0) << "left behind";
}

TEST_F(Lifecycle, ServesASocketThatACrashLeftBehind) {
  const std::string flag = absl::StrCat("--unix_socket=", ::testing::TempDir(),
                                        "lifecycle/crash.sock");
  Start({flag});
  server_->Signal(SIGKILL);
  server_->Wait();

  Start({flag});

  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 0);
}

TEST_F(Lifecycle, LogsJsonOnly) {
  Start({"--log_level=debug"});
  v1::ForwardResponse response;
  EXPECT_FALSE(
      Forward(*stub_, ForwardOf("no\nsuch\"one", {1}), &response).ok());
  ASSERT_TRUE(server_->WaitForEvent("request"));

  for (const std::string& line : server_->log()) {
    SCOPED_TRACE(line);
    EXPECT_EQ(line.substr(0, 9), "{\"time\":\"");
    EXPECT_EQ(line.back(), '}');
  }
}

TEST_F(Lifecycle, DoesNotStartWith) {
  Start();
  struct Case {
    std::string name;
    std::string flag;
    std::string message;
  };
  const Case cases[] = {
      {"a limit out of range", "--max_rank=-1",
       "max_rank: -1 is not in 0 .. 1024"},
      {"a duration out of range", "--drain_timeout=-1s",
       "drain_timeout: -1s is not in 0 .. 24h"},
      {"a default above its maximum", "--default_residual_lease=11m",
       "default_residual_lease: 11m is not in 1ms .. 10m"},
      {"an unknown level", "--log_level=loud", "log_level: loud is none of"},
      {"an unknown device", "--device=gpu",
       "device: gpu is none of auto, cpu, cuda:N"},
      {"a GPU that nobody has", "--device=cuda:4711", ""},
      {"no port", "--listen=localhost", "listen: localhost is not host:port"},
      {"a port that is taken", "--listen=" + server_->tcp_address(),
       "listen: cannot bind " + server_->tcp_address()},
      {"a socket that is taken",
       "--unix_socket=" + server_->unix_address().substr(5),
       "another server listens there"},
      {"a socket among others", "--unix_socket=/tmp/actserved-test.sock",
       "can be written to by other users"},
      {"a relative socket", "--unix_socket=s.sock", "not an absolute path"},
      {"a cache that cannot be", "--cache_directory=/proc/nowhere/cache", ""},
      {"a port file without a folder", "--port_file=/nowhere/ports",
       "port_file: cannot write /nowhere/ports: No such file or directory"},
      {"an unknown flag", "--frobnicate", "frobnicate"},
      {"an argument", "frobnicate", "not a flag"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto server =
        ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY), {c.flag});
    ASSERT_FALSE(server.ok());
    EXPECT_THAT(std::string(server.status().message()), HasSubstr(c.message));
  }
}

TEST_F(Lifecycle, AUsersFirstServerMakesItsCache) {
  const std::string home = ::testing::TempDir() + "/home_without_cache";
  std::filesystem::remove_all(home);
  std::filesystem::create_directory(home);
  setenv("XDG_CACHE_HOME", (home + "/cache").c_str(), /*overwrite=*/1);
  Start({"--cache_directory="});
  unsetenv("XDG_CACHE_HOME");
  v1::ForwardResponse response;
  EXPECT_TRUE(Forward(*stub_, ForwardOf("relu", {1}), &response).ok());
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 0);

  EXPECT_FALSE(std::filesystem::is_empty(home + "/cache/actserve/programs"));
}

TEST_F(Lifecycle, TellsWhatItComputesOn) {
  Start({"--device=auto"});
  ASSERT_TRUE(server_->WaitForEvent("device"));

  v1::ServerInfo info;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->GetServerInfo(&context, {}, &info).ok());

  EXPECT_EQ(info.devices(0).reason().substr(0, 6), "auto: ");
  EXPECT_THAT(server_->log(),
              Contains(AllOf(HasSubstr("\"event\":\"device\""),
                             HasSubstr("\"reason\":\"auto: "))));
}

TEST_F(Lifecycle, LogsItsCountersAtTheEnd) {
  Start({"--log_level=debug"});
  v1::ForwardResponse response;
  ASSERT_TRUE(Forward(*stub_, ForwardOf("relu", {1}), &response).ok());

  server_->Signal(SIGTERM);

  EXPECT_EQ(server_->Wait(), 0);
  EXPECT_TRUE(server_->WaitForEvent("scheduler"));
}

TEST_F(Lifecycle, WaitsForNoFifo) {
  const std::string folder = ::testing::TempDir() + "/lifecycle_fifo";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  const std::string fifo = folder + "/fifo";
  const std::string ports = folder + "/ports";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  ASSERT_EQ(mkfifo(ports.c_str(), 0600), 0);
  ASSERT_EQ(mkfifo((ports + ".new").c_str(), 0600), 0);

  const auto server = ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY),
                                           {"--pack=" + fifo, "--device=cpu"});
  EXPECT_TRUE(server.ok()) << server.status();
  // The test's own file is the one that is read.
  const auto other = ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY),
                                          {"--port_file=" + ports});
  EXPECT_FALSE(other.ok());

  EXPECT_TRUE(std::filesystem::is_regular_file(ports));
}

TEST_F(Lifecycle, TellsWhereItListens) {
  Start();
  std::ifstream file(server_->port_file());
  std::ostringstream text;
  text << file.rdbuf();

  EXPECT_EQ(text.str(), absl::StrCat(server_->tcp_address(), "\n",
                                     server_->unix_address(), "\n"));
}

}  // namespace
}  // namespace actserve::testing
