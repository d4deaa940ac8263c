// What clients that misbehave can hold of the server's memory, and for how
// long. They call over TCP. Another caller goes on over the unix socket
// meanwhile; it is another peer.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "server/end_to_end/calls.h"
#include "server/end_to_end/nothing_held.h"
#include "server/observe/resident_bytes.h"
#include "server/testing/http2_client.h"
#include "server/testing/server_process.h"

namespace actserve::testing {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kMaxMessageBytes = 33 * kMiB;
constexpr int64_t kMaxMemoryBytes = 256 * kMiB;
constexpr int64_t kMaxIdleBufferBytes = 32 * kMiB;
// What the process may take on top of what it takes idle and of the two limits
// above: 64 MiB of free memory, which MemoryTrimmer leaves alone, and as much
// for what nobody counts: what gRPC has read before its quota reacts, programs,
// the heaps of threads. Measured: less than the first limit alone.
constexpr int64_t kOtherBytes = 128 * kMiB;
// What clients may add that open streams without end, until the server looks at
// its connections: 10 times a second.
constexpr int64_t kStreamsBytes = 256 * kMiB;
// What may still be there a while after the burst: the same free memory, idle
// buffers, and programs.
constexpr int64_t kLeftBytes = 128 * kMiB;

// What another caller may have to wait, on a slow machine that does other work
// too.
constexpr absl::Duration kPromptly = absl::Seconds(20);

constexpr char kForward[] = "/actserve.v1.ActivationService/Forward";
constexpr char kWatch[] = "/grpc.health.v1.Health/Watch";
constexpr char kBackward[] = "/actserve.v1.ActivationService/Backward";

using Client = std::unique_ptr<Http2Client>;

// The bytes of a Forward of `bytes` of tensors.
std::string ForwardBytes(const std::string& activation, int num_inputs,
                         int64_t bytes, absl::Duration lease = {}) {
  v1::ForwardRequest request;
  request.set_activation(activation);
  for (int i = 0; i < num_inputs; ++i) {
    *request.add_inputs() =
        TensorOf(v1::DTYPE_FLOAT32, {bytes / num_inputs / 4});
    request.add_payload(std::string(bytes / num_inputs, '\0'));
  }
  if (lease > absl::ZeroDuration()) {
    request.set_keep_residual(true);
    request.mutable_residual_lease()->set_seconds(absl::ToInt64Seconds(lease));
  }
  return request.SerializeAsString();
}

// Calls in a loop on a thread of its own and counts the answers by code.
class OtherCaller {
 public:
  explicit OtherCaller(const std::string& address)
      : stub_(v1::ActivationService::NewStub(ChannelTo(address))),
        thread_([this] { Run(); }) {}
  ~OtherCaller() { Stop(); }

  // The answers so far, which end with it.
  const std::map<grpc::StatusCode, int>& Stop() {
    stopped_ = true;
    if (thread_.joinable()) thread_.join();
    return codes_;
  }
  absl::Duration longest() const { return longest_; }

 private:
  void Run() {
    const v1::ForwardRequest request =
        ForwardOf("relu", std::vector<float>(1000, 1));
    v1::ForwardResponse response;
    while (!stopped_) {
      const absl::Time start = absl::Now();
      grpc::StatusCode code = grpc::StatusCode::UNAVAILABLE;
      // When gRPC runs short of memory it closes connections that have no call
      // just then. Our clients, too, repeat such calls and wait until they are
      // connected again, which gRPC tries once a second.
      for (int k = 0; k < 5 && code == grpc::StatusCode::UNAVAILABLE; ++k) {
        grpc::ClientContext context;
        context.set_wait_for_ready(true);
        context.set_deadline(absl::ToChronoTime(start + kPromptly));
        code = stub_->Forward(&context, request, &response).error_code();
      }
      ++codes_[code];
      longest_ = std::max(longest_, absl::Now() - start);
      absl::SleepFor(absl::Milliseconds(2));
    }
  }

  const std::unique_ptr<Stub> stub_;
  std::atomic<bool> stopped_ = false;
  std::map<grpc::StatusCode, int> codes_;
  absl::Duration longest_;
  std::thread thread_;
};

// The memory of a process that is in RAM, and its peak.
class Watch {
 public:
  explicit Watch(pid_t pid) : pid_(pid), thread_([this] { Run(); }) {}
  ~Watch() { PeakBytes(); }

  // Ends it.
  int64_t PeakBytes() {
    stopped_ = true;
    if (thread_.joinable()) thread_.join();
    return peak_bytes_;
  }

 private:
  void Run() {
    while (!stopped_) {
      peak_bytes_ = std::max(peak_bytes_, ResidentBytes(pid_));
      absl::SleepFor(absl::Milliseconds(5));
    }
  }

  const pid_t pid_;
  std::atomic<bool> stopped_ = false;
  int64_t peak_bytes_ = 0;
  std::thread thread_;
};

class Memory : public ::testing::Test {
 protected:
  void Start(const std::vector<std::string>& flags = {}) {
    std::vector<std::string> all = {
        "--device=cpu",
        "--log_level=debug",
        "--drain_timeout=1s",
        absl::StrCat("--max_memory_bytes=", kMaxMemoryBytes),
        absl::StrCat("--max_message_bytes=", kMaxMessageBytes),
        absl::StrCat("--max_idle_buffer_bytes=", kMaxIdleBufferBytes)};
    all.insert(all.end(), flags.begin(), flags.end());
    auto server = ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY), all);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::ActivationService::NewStub(ChannelTo(server_->tcp_address()));
    v1::ForwardResponse response;
    ASSERT_TRUE(Forward(*stub_, ForwardOf("relu", {1}), &response).ok());
    idle_bytes_ = ResidentBytes();
  }

  int64_t ResidentBytes() const {
    return actserve::ResidentBytes(server_->pid());
  }

  Client Connect(const Http2Client::Options& options) {
    auto client = Http2Client::Connect(
        attacks_locally_ ? server_->unix_address() : server_->tcp_address(),
        options);
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }

  // Runs `attack`, which returns what it still holds, and checks what it costs
  // the server and the other caller until it lets go.
  void Check(const std::function<std::vector<Client>()>& attack,
             int64_t more_bytes = 0) {
    Watch watch(server_->pid());
    OtherCaller other(attacks_locally_ ? server_->tcp_address()
                                       : server_->unix_address());
    const absl::Time start = absl::Now();

    std::vector<Client> held = attack();
    const absl::Duration took = absl::Now() - start;
    for (const Client& client : held) {
      // It may have been closed.
      (void)client->ReadFor(absl::Milliseconds(20));
    }
    absl::SleepFor(absl::Milliseconds(500));

    std::map<grpc::StatusCode, int> codes = other.Stop();
    const int64_t peak_bytes = watch.PeakBytes();
    int num_ended = 0, num_reset = 0;
    for (const Client& client : held) {
      num_ended += client->num_ended();
      num_reset += client->num_reset();
    }
    std::printf(
        "idle %d MiB, peak +%d MiB, held +%d MiB in %s; %d ended, %d reset; "
        "other caller: %d answers, %d refused, at most %s\n",
        static_cast<int>(idle_bytes_ / kMiB),
        static_cast<int>((peak_bytes - idle_bytes_) / kMiB),
        static_cast<int>((ResidentBytes() - idle_bytes_) / kMiB),
        absl::FormatDuration(took).c_str(), num_ended, num_reset,
        codes[grpc::StatusCode::OK],
        codes[grpc::StatusCode::RESOURCE_EXHAUSTED],
        absl::FormatDuration(other.longest()).c_str());
    std::fflush(stdout);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(peak_bytes - idle_bytes_,
              kMaxMemoryBytes + kMaxIdleBufferBytes + kOtherBytes + more_bytes);
#endif
    EXPECT_GT(codes[grpc::StatusCode::OK],
              codes[grpc::StatusCode::RESOURCE_EXHAUSTED]);
    for (const auto& [code, count] : codes) {
      EXPECT_TRUE(code == grpc::StatusCode::OK ||
                  code == grpc::StatusCode::RESOURCE_EXHAUSTED)
          << count << " calls ended with " << code;
    }
  }

  std::vector<Client> LeaveAnswersUnread() {
    const std::string message = ForwardBytes("relu", 1, 8 * kMiB);
    std::vector<Client> clients;
    for (int i = 0; i < 4; ++i) {
      // gRPC, short of memory, seldom takes more than 2 s to go on reading.
      clients.push_back(
          Connect({.window_bytes = 0, .patience = absl::Seconds(15)}));
      for (int k = 0; k < 40; ++k) {
        // Answered or refused, but not kept waiting.
        const absl::Status taken = clients.back()->Call(kForward, message);
        EXPECT_TRUE(taken.ok()) << taken;
        if (!taken.ok()) break;
      }
    }
    return clients;
  }

  std::vector<Client> StopInTheMiddle(int num_clients = 20,
                                      int64_t bytes = 32 * kMiB) {
    const std::string body =
        WithPrefix(std::string(bytes - 2 * kMiB, '\0'), bytes);
    std::vector<Client> clients;
    for (int i = 0; i < num_clients; ++i) {
      clients.push_back(Connect({.patience = absl::Milliseconds(300)}));
      const auto stream = clients.back()->StartCall(kForward);
      if (!stream.ok()) continue;
      // It stalls where the server stops taking more.
      (void)clients.back()->Send(*stream, body, /*is_last=*/false);
    }
    return clients;
  }

  // Opens streams without end, and does not acknowledge the limit.
  std::vector<Client> FloodWithStreams() {
    std::vector<Client> clients;
    for (int i = 0; i < 4; ++i) {
      clients.push_back(Connect({.ack_settings = false}));
      int num_started = 0;
      while (num_started < 100'000 &&
             clients.back()->StartCall(kForward).ok()) {
        ++num_started;
      }
      EXPECT_LT(num_started, 100'000);
    }
    return clients;
  }

  // Attackers come over the unix socket, and the other caller over TCP.
  bool attacks_locally_ = false;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<Stub> stub_;
  int64_t idle_bytes_ = 0;
};

TEST_F(Memory, AnswersThatNobodyReadsAreBounded) {
  Start();

  Check([&] { return LeaveAnswersUnread(); });

  ExpectNothingHeld(*server_);
}

// A request of a few bytes makes an answer of 32 MiB.
TEST_F(Memory, AnswersByHandleThatNobodyReadsAreBounded) {
  Start();
  v1::ForwardRequest request;
  ASSERT_TRUE(request.ParseFromString(
      ForwardBytes("relu", 1, 32 * kMiB, absl::Seconds(5))));
  v1::ForwardResponse response;
  ASSERT_TRUE(Forward(*stub_, request, &response).ok());
  v1::BackwardRequest by_handle;
  by_handle.set_residual(response.residual().handle());
  ASSERT_NE(by_handle.residual(), "");

  Check([&] {
    std::vector<Client> clients;
    for (int i = 0; i < 4; ++i) {
      clients.push_back(Connect({.window_bytes = 0}));
      for (int k = 0; k < 50; ++k) {
        (void)clients.back()->Call(kBackward, by_handle.SerializeAsString());
      }
    }
    return clients;
  });

  v1::ReleaseResidualsRequest release;
  release.add_handles(by_handle.residual());
  v1::ReleaseResidualsResponse released;
  grpc::ClientContext context;
  EXPECT_TRUE(stub_->ReleaseResiduals(&context, release, &released).ok());
  ExpectNothingHeld(*server_);
}

TEST_F(Memory, RequestsThatWaitForACompilationAreBounded) {
  Start();
  std::vector<std::string> ids;
  for (int i = 0; i < 24; ++i) {
    v1::RegisterActivationResponse registered;
    ASSERT_TRUE(Register(*stub_, HeavyText(i), &registered).ok());
    ids.push_back(registered.activation().id());
  }

  Check([&] {
    std::vector<Client> clients;
    for (const std::string& id : ids) {
      clients.push_back(Connect({.patience = absl::Milliseconds(300)}));
      (void)clients.back()->Call(kForward, ForwardBytes(id, 2, 24 * kMiB));
    }
    return clients;
  });

  ExpectNothingHeld(*server_);
}

// gRPC has no hook for them: what has arrived stays until the connection goes.
TEST_F(Memory, BodiesThatStopArrivingAreBounded) {
  Start();

  Check([&] { return StopInTheMiddle(); });

  ExpectNothingHeld(*server_);
}

TEST_F(Memory, BodiesThatStopArrivingEndTheirConnections) {
  Start({"--body_timeout=1s"});
  Client idle = Connect({});
  Client waiting = Connect({});
  v1::RegisterActivationResponse registered;
  ASSERT_TRUE(Register(*stub_, HeavyText(0), &registered).ok());
  ASSERT_TRUE(waiting
                  ->Call(kForward, ForwardBytes(registered.activation().id(), 2,
                                                2 * kMiB))
                  .ok());
  // So few that gRPC has memory for them all.
  std::vector<Client> stalled = StopInTheMiddle(3, 8 * kMiB);
  // A byte now and then does not help.
  Client dribbling = Connect({});
  const uint32_t stream = dribbling->StartCall(kForward).value();
  const std::string body = WithPrefix(std::string(1000, '\0'), kMiB);
  size_t num_sent = 0;
  while (num_sent < body.size() &&
         dribbling->Send(stream, body.substr(num_sent, 1), false).ok()) {
    ++num_sent;
    (void)dribbling->ReadFor(absl::Milliseconds(50));
  }

  EXPECT_LT(num_sent, body.size());
  for (const Client& each : stalled) {
    EXPECT_TRUE(absl::IsUnavailable(each->ReadFor(absl::Seconds(20))));
  }
  EXPECT_TRUE(server_->WaitForEvent("request_stalled"));
  EXPECT_TRUE(idle->Call(kForward, ForwardBytes("relu", 1, 4)).ok());
  EXPECT_TRUE(waiting->ReadFor(absl::Milliseconds(10)).ok());
  ExpectNothingHeld(*server_);
}

// Residuals once filled the memory for requests, and their peer, to which each
// is charged, could not open another connection for as long as their lease.
TEST_F(Memory, ResidualsDoNotLockOutTheirPeer) {
  Start();
  v1::ForwardRequest keeping;
  ASSERT_TRUE(keeping.ParseFromString(
      ForwardBytes("relu", 1, kMiB, absl::Seconds(60))));
  int num_kept = 0;
  v1::ForwardResponse response;
  do {
    ASSERT_TRUE(Forward(*stub_, keeping, &response).ok());
    num_kept += response.has_residual();
  } while (response.has_residual());
  v1::ServerInfo info;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->GetServerInfo(&context, {}, &info).ok());
  EXPECT_EQ(info.limits().max_residual_bytes(), kMaxMemoryBytes / 16 * 3);
  EXPECT_GE((num_kept + 1) * kMiB,
            info.limits().max_residual_bytes() - 64 * 1024);

  const auto fresh =
      v1::ActivationService::NewStub(ChannelTo(server_->tcp_address()));
  v1::ForwardRequest request;
  for (const int64_t bytes : {int64_t{4}, 8 * kMiB}) {
    ASSERT_TRUE(request.ParseFromString(ForwardBytes("relu", 1, bytes)));
    const grpc::Status status = Forward(*fresh, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
}

TEST_F(Memory, StreamsWithoutBodiesAreBounded) {
  Start();

  Check([&] {
    std::vector<Client> clients;
    clients.push_back(Connect({}));
    // It acknowledges the limit on streams now.
    (void)clients.back()->ReadFor(absl::Milliseconds(100));
    for (int i = 0; i < 20'000; ++i) {
      if (!clients.back()->StartCall(kForward).ok()) break;
    }
    return clients;
  });

  ExpectNothingHeld(*server_);
}

// gRPC holds only those to its limit on streams that acknowledge it; 200,000
// streams once took 3 GiB.
TEST_F(Memory, StreamsOfAClientThatKnowsNoLimitAreBounded) {
  Start({"--drain_timeout=20s"});

  Check([&] { return FloodWithStreams(); }, kStreamsBytes);

  EXPECT_TRUE(server_->WaitForEvent("too_many_streams"));
  ExpectNothingHeld(*server_);
}

TEST_F(Memory, StreamsOverTheUnixSocketAreBounded) {
  Start({"--drain_timeout=20s"});
  attacks_locally_ = true;

  Check([&] { return FloodWithStreams(); }, kStreamsBytes);

  EXPECT_TRUE(server_->WaitForEvent("too_many_streams"));
  ExpectNothingHeld(*server_);
}

// Each frame once cost a slice and a fragment beside its bytes.
TEST_F(Memory, ResidualsInSmallFramesAreBounded) {
  Start();
  const std::string message =
      ForwardBytes("relu", 1, 256 << 10, absl::Seconds(1));

  Check([&] {
    std::vector<Client> clients;
    for (int i = 0; i < 4; ++i) {
      clients.push_back(Connect({}));
      for (int k = 0; k < 50; ++k) {
        (void)clients.back()->Call(kForward, message, /*frame_bytes=*/24);
      }
    }
    return clients;
  });

  // Of the residuals, which end by their lease.
  absl::SleepFor(absl::Seconds(2));
  ExpectNothingHeld(*server_);
}

// A Watch takes one message. Of further ones gRPC keeps what fits into the
// window of the stream, 64 KiB, and its quota bounds them all.
TEST_F(Memory, MessagesThatAWatchDoesNotTakeAreBounded) {
  Start();
  // Fills the window of a stream, nearly.
  const std::string bytes =
      WithPrefix("", 0) + WithPrefix(std::string(60'000, '\0'), kMiB);

  Check([&] {
    std::vector<Client> clients;
    for (int i = 0; i < 10; ++i) {
      clients.push_back(Connect({.patience = absl::Milliseconds(20)}));
      for (int k = 0; k < 1000; ++k) {
        const auto stream = clients.back()->StartCall(kWatch);
        if (!stream.ok()) break;
        (void)clients.back()->Send(*stream, bytes, /*is_last=*/false);
      }
    }
    return clients;
  });

  ExpectNothingHeld(*server_);
}

TEST_F(Memory, IsGivenBack) {
  Start();
  Check([&] { return LeaveAnswersUnread(); });
  Check([&] { return StopInTheMiddle(); });
  const absl::Time left = absl::Now();

  while (ResidentBytes() > idle_bytes_ + kLeftBytes &&
         absl::Now() - left < absl::Seconds(30)) {
    absl::SleepFor(absl::Milliseconds(100));
  }

  std::printf("given back to +%d MiB after %s\n",
              static_cast<int>((ResidentBytes() - idle_bytes_) / kMiB),
              absl::FormatDuration(absl::Now() - left).c_str());
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(ResidentBytes(), idle_bytes_ + kLeftBytes);
#endif
  ExpectNothingHeld(*server_);
}

TEST_F(Memory, WhatIsUnreadOrHalfSentDoesNotKeepTheServer) {
  Start();
  std::vector<Client> unread = LeaveAnswersUnread();
  std::vector<Client> partial = StopInTheMiddle();
  const absl::Time start = absl::Now();

  server_->Signal(SIGTERM);

  EXPECT_EQ(server_->Wait(), 0);
  // --drain_timeout, and time for a slow machine.
  EXPECT_LT(absl::Now() - start, absl::Seconds(1 + 5));
  std::printf("ended after %s\n",
              absl::FormatDuration(absl::Now() - start).c_str());
}

}  // namespace
}  // namespace actserve::testing
