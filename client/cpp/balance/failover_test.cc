// Training steps of the library on three servers that end one after the other.
// client/python/tests/test_balancing.py does the same in Python.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

using testing::BinaryOfBuild;
using testing::ServerProcess;

constexpr int kNumServers = 3;
constexpr int64_t kSizesBytes[] = {4 << 10, 64 << 10, 1 << 20, 16 << 20};
constexpr int kNumTrainers = 4;
constexpr absl::Duration kPatience = absl::Seconds(120);
constexpr char kText[] = "def quartic(x):\n  return x * x * x * x - x\n";

// A port that the system gives to no other socket by itself.
int UnusedPort() {
  for (int port = 20000; port < 30000; ++port) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    const bool is_free =
        bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    close(fd);
    if (is_free) return port;
  }
  ADD_FAILURE() << "no port is free";
  return 0;
}

// A server whose port stays its own over a restart.
class Server {
 public:
  Server() : address_(absl::StrCat("127.0.0.1:", UnusedPort())) { Start(); }

  const std::string& address() const { return address_; }

  void Start() {
    auto process = ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY),
                                        {"--listen=" + address_});
    ASSERT_TRUE(process.ok()) << process.status();
    process_ = *std::move(process);
  }

  int End(int signal) {
    process_->Signal(signal);
    return process_->Wait();
  }

 private:
  const std::string address_;
  std::unique_ptr<ServerProcess> process_;
};

// Steps in a loop, on a thread for each of kSizesBytes; each checks every bit.
class Trainers {
 public:
  explicit Trainers(const std::string& address)
      : client_(*Client::Connect(address)) {
    const auto registered = client_->RegisterActivation(kText);
    if (registered.ok()) id_ = registered->activation().id();
    for (int i = 0; i < kNumTrainers; ++i) {
      threads_.emplace_back([this, i] { Run(i); });
    }
  }

  ~Trainers() {
    stopped_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

  // Waits until each has done as many steps more. False if that takes too long.
  bool AwaitSteps(int num_steps) {
    absl::MutexLock lock(&mutex_);
    std::vector<int> wanted = num_right_;
    for (int& wanted_steps : wanted) wanted_steps += num_steps;
    const auto is_reached = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      for (int i = 0; i < kNumTrainers; ++i) {
        if (num_right_[i] < wanted[i]) return false;
      }
      return true;
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&is_reached), kPatience);
  }

  std::vector<std::string> failures() {
    absl::MutexLock lock(&mutex_);
    return failures_;
  }

 private:
  // One step; the output and the gradient go to `y` and `dx`.
  absl::Status Step(const std::vector<float>& x, std::vector<float>& y,
                    std::vector<float>& dx) {
    ForwardCall forward;
    forward.activation = id_;
    forward.inputs = {View(x)};
    forward.output = MutableBytes(y);
    forward.keep_residual = true;
    const auto result = client_->ForwardWith(forward);
    if (!result.ok()) return result.status();
    BackwardCall backward;
    backward.activation = id_;
    if (result->residual) backward.residual = result->residual->handle();
    backward.inputs = {View(x)};
    backward.grad_output = View(x);
    backward.wrt = {{"x", MutableBytes(dx)}};
    return client_->Backward(backward).status();
  }

  void Run(int index) {
    std::vector<float> x(kSizesBytes[index] / sizeof(float));
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = static_cast<float>(i % 1009) / 256 - 2;
    }
    std::vector<float> want_y(x.size()), want_dx(x.size());
    const absl::Status first = Step(x, want_y, want_dx);
    if (!first.ok()) Note(index, first.ToString());
    while (!stopped_) {
      std::vector<float> y(x.size()), dx(x.size());
      const absl::Status status = Step(x, y, dx);
      Note(index, !status.ok()                   ? status.ToString()
                  : y != want_y || dx != want_dx ? "wrong bits"
                                                 : "");
    }
  }

  void Note(int index, const std::string& failure) {
    absl::MutexLock lock(&mutex_);
    if (failure.empty()) {
      ++num_right_[index];
    } else {
      failures_.push_back(failure);
    }
  }

  const std::unique_ptr<Client> client_;
  std::string id_;
  std::atomic<bool> stopped_ = false;
  absl::Mutex mutex_;
  std::vector<int> num_right_ ABSL_GUARDED_BY(mutex_) =
      std::vector<int>(kNumTrainers);
  std::vector<std::string> failures_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

void EndEachInTurn(int signal, int want_status) {
  std::vector<std::unique_ptr<Server>> servers;
  for (int i = 0; i < kNumServers; ++i) {
    servers.push_back(std::make_unique<Server>());
  }
  Trainers trainers(absl::StrJoin(
      servers, ",",
      [](std::string* out, const std::unique_ptr<Server>& server) {
        out->append(server->address());
      }));
  for (const auto& server : servers) {
    ASSERT_TRUE(trainers.AwaitSteps(2));
    EXPECT_EQ(server->End(signal), want_status);
    ASSERT_TRUE(trainers.AwaitSteps(1));
    server->Start();
  }
  EXPECT_TRUE(trainers.AwaitSteps(2));

  EXPECT_EQ(trainers.failures(), std::vector<std::string>());
}

TEST(Failover, ServersThatStopInTurnLoseNoStep) { EndEachInTurn(SIGTERM, 0); }

TEST(Failover, ServersThatAreKilledInTurnLoseNoStep) {
  EndEachInTurn(SIGKILL, -SIGKILL);
}

}  // namespace
}  // namespace actserve
