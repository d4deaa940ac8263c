// What one caller can do to the others, and to the end of the server, with
// programs that take long to compile. It calls over TCP, the others over the
// unix socket, so they are two peers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "server/end_to_end/calls.h"
#include "server/testing/server_process.h"

namespace actserve::testing {
namespace {

// Far above what is measured, for a slow machine that does other work too.
constexpr absl::Duration kPromptly = absl::Seconds(20);

// Asks for many programs at once, and counts the answers by code.
class HeavyCaller {
 public:
  explicit HeavyCaller(const std::string& address)
      : stub_(v1::ActivationService::NewStub(ChannelTo(address))) {}
  ~HeavyCaller() {
    Cancel();
    AwaitAll();
  }

  // Sends `count` Backwards, each for a program of its own.
  void Start(int count) {
    constexpr v1::DType kDTypes[] = {v1::DTYPE_FLOAT16, v1::DTYPE_BFLOAT16,
                                     v1::DTYPE_FLOAT32, v1::DTYPE_FLOAT64};
    constexpr int kBytes[] = {2, 2, 4, 8};
    // Those that are programs of their own.
    const std::vector<std::vector<std::string>> kWrt = {
        {"x"}, {"y"}, {"x", "y"}, {"x", "y", "a"}};
    const int per_text = static_cast<int>(4 * kWrt.size());
    std::vector<std::string> ids;
    for (int i = 0; i < count; i += per_text) ids.push_back(RegisterHeavy(i));
    for (int i = 0; i < count; ++i) {
      const int d = i % 4;
      Call& call = calls_.emplace_back();
      call.request.set_activation(ids[i / per_text]);
      for (int k = 0; k < 2; ++k) {
        *call.request.add_inputs() = TensorOf(kDTypes[d], {1});
        call.request.add_payload(std::string(kBytes[d], '\0'));
      }
      for (const std::string& name : kWrt[i % per_text / 4]) {
        call.request.add_wrt(name);
      }
      {
        absl::MutexLock lock(&mu_);
        ++num_running_;
      }
      stub_->async()->Backward(
          &call.context, &call.request, &call.response,
          [this, &call](const grpc::Status& status) {
            absl::MutexLock lock(&mu_);
            --num_running_;
            ++codes_[status.error_code()];
            const auto& trailers = call.context.GetServerTrailingMetadata();
            const auto pause = trailers.find("grpc-retry-pushback-ms");
            if (pause == trailers.end()) return;
            longest_pause_ms_ =
                std::max(longest_pause_ms_,
                         std::stoi(std::string(pause->second.data(),
                                               pause->second.size())));
          });
    }
  }
  void Cancel() {
    for (Call& call : calls_) call.context.TryCancel();
  }
  // How many calls ended with each code.
  std::map<grpc::StatusCode, int> AwaitAll() {
    const auto none = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return num_running_ == 0;
    };
    absl::MutexLock lock(&mu_, absl::Condition(&none));
    return codes_;
  }
  std::map<grpc::StatusCode, int> codes() const {
    absl::MutexLock lock(&mu_);
    return codes_;
  }
  // The longest that the server asked for.
  int longest_pause_ms() const {
    absl::MutexLock lock(&mu_);
    return longest_pause_ms_;
  }

 private:
  struct Call {
    grpc::ClientContext context;
    v1::BackwardRequest request;
    v1::BackwardResponse response;
  };

  std::string RegisterHeavy(int number) {
    v1::RegisterActivationResponse response;
    const grpc::Status status = Register(*stub_, HeavyText(number), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.activation().id();
  }

  const std::unique_ptr<Stub> stub_;
  std::deque<Call> calls_;
  mutable absl::Mutex mu_;
  int num_running_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<grpc::StatusCode, int> codes_ ABSL_GUARDED_BY(mu_);
  int longest_pause_ms_ ABSL_GUARDED_BY(mu_) = 0;
};

class Fairness : public ::testing::Test {
 protected:
  void Start(const std::vector<std::string>& flags) {
    std::vector<std::string> all = {"--device=cpu", "--log_level=debug"};
    all.insert(all.end(), flags.begin(), flags.end());
    auto server = ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY), all);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    other_ = v1::ActivationService::NewStub(ChannelTo(server_->unix_address()));
  }

  // Makes the call of another caller, which must be served promptly.
  template <typename Call>
  void Expect(const char* what, Call call) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kPromptly));
    const absl::Time start = absl::Now();
    const grpc::Status status = call(&context);
    EXPECT_TRUE(status.ok())
        << what << ": " << status.error_code() << " " << status.error_message();
    absl::Duration& longest = longest_[what];
    longest = std::max(longest, absl::Now() - start);
  }
  void ExpectControlCalls(int number) {
    Expect("RegisterActivation", [&](grpc::ClientContext* context) {
      v1::RegisterActivationRequest request;
      request.set_text(TextOf(number));
      v1::RegisterActivationResponse response;
      return other_->RegisterActivation(context, request, &response);
    });
    Expect("GetActivation", [&](grpc::ClientContext* context) {
      v1::GetActivationRequest request;
      request.set_activation("relu");
      v1::Activation response;
      return other_->GetActivation(context, request, &response);
    });
    Expect("ListActivations", [&](grpc::ClientContext* context) {
      v1::ListActivationsResponse response;
      return other_->ListActivations(context, {}, &response);
    });
  }
  // Needs a compilation of its own.
  void ExpectNewForward(int number) {
    Expect("first Forward", [&](grpc::ClientContext* context) {
      v1::RegisterActivationRequest request;
      request.set_text(TextOf(number));
      v1::RegisterActivationResponse registered;
      grpc::Status status =
          other_->RegisterActivation(context, request, &registered);
      if (!status.ok()) return status;
      grpc::ClientContext forward;
      forward.set_deadline(context->deadline());
      v1::ForwardResponse response;
      return other_->Forward(
          &forward, ForwardOf(registered.activation().id(), {1}), &response);
    });
  }
  static std::string TextOf(int number) {
    return absl::StrCat("def f(x):\n    return x * ", number, "\n");
  }
  void PrintLongest() const {
    for (const auto& [what, longest] : longest_) {
      std::printf("%-20s at most %s\n", what.c_str(),
                  absl::FormatDuration(longest).c_str());
    }
  }

  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<Stub> other_;
  std::map<std::string, absl::Duration> longest_;
};

TEST_F(Fairness, OthersAreServedWhileOneFillsTheCompiler) {
  Start({});
  HeavyCaller heavy(server_->tcp_address());
  heavy.Start(600);
  ASSERT_TRUE(server_->WaitForEvent("compiling"));

  for (int i = 0; i < 10; ++i) ExpectControlCalls(i);
  for (int i = 10; i < 13; ++i) ExpectNewForward(i);

  // It holds the queue itself, so it is the one who is refused.
  EXPECT_GT(heavy.codes()[grpc::StatusCode::RESOURCE_EXHAUSTED], 0);
  EXPECT_EQ(heavy.longest_pause_ms(), 1000);
  PrintLongest();
}

TEST_F(Fairness, OneMayNotCompileForever) {
  Start({"--max_compile_seconds_per_minute=1"});
  HeavyCaller heavy(server_->tcp_address());
  heavy.Start(120);

  auto codes = heavy.AwaitAll();

  EXPECT_GT(codes[grpc::StatusCode::OK], 0);
  EXPECT_GT(codes[grpc::StatusCode::RESOURCE_EXHAUSTED], 0);
  EXPECT_GT(heavy.longest_pause_ms(), 1);
  ExpectNewForward(1);
}

TEST_F(Fairness, WhatWasCancelledIsNotCompiled) {
  Start({});
  HeavyCaller heavy(server_->tcp_address());
  heavy.Start(200);
  ASSERT_TRUE(server_->WaitForEvent("compiling"));

  heavy.Cancel();
  heavy.AwaitAll();
  // Of the same peer, so that it would wait for the turns of all of those.
  other_ = v1::ActivationService::NewStub(ChannelTo(server_->tcp_address()));
  ExpectNewForward(1);

  const std::vector<std::string> log = server_->log();
  const auto num_compiled =
      std::ranges::count_if(log, [](const std::string& line) {
        return line.find("\"event\":\"compiling\"") != std::string::npos;
      });
  EXPECT_LT(num_compiled, 100);
  PrintLongest();
}

TEST_F(Fairness, ALongQueueDoesNotKeepTheServerFromEnding) {
  Start({"--drain_timeout=2s"});
  HeavyCaller heavy(server_->tcp_address());
  heavy.Start(168);
  ASSERT_TRUE(server_->WaitForEvent("compiling"));

  const absl::Time start = absl::Now();
  server_->Signal(SIGTERM);

  EXPECT_EQ(server_->Wait(), 0);
  const absl::Duration took = absl::Now() - start;
  std::printf("ended after %s\n", absl::FormatDuration(took).c_str());
  EXPECT_FALSE(std::filesystem::exists(server_->unix_address().substr(5)));
  EXPECT_LT(took, absl::Seconds(2) + kPromptly);
  const auto codes = heavy.AwaitAll();
  for (const auto& [code, count] : codes) {
    EXPECT_TRUE(code == grpc::StatusCode::OK ||
                code == grpc::StatusCode::UNAVAILABLE)
        << count << " calls ended with " << code;
  }
  EXPECT_GT(codes.at(grpc::StatusCode::UNAVAILABLE), 0);
}

}  // namespace
}  // namespace actserve::testing
