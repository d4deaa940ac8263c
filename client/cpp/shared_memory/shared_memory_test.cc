// A client that shares memory with a real server, beside one that sends its
// tensors to the same server.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

// From a few bytes to more than a region.
constexpr size_t kSizes[] = {1, 255, 2000, 5000, 100'000, 6'000'000};

constexpr std::string_view kLeaky =
    "def f(x, a=0.1):\n    return x if x > 0 else a * x\n";

std::vector<float> Numbers(size_t count, float scale = 1) {
  std::vector<float> numbers(count);
  for (size_t i = 0; i < count; ++i) {
    numbers[i] = scale * static_cast<float>(std::sin(0.37 * double(i)));
  }
  return numbers;
}

class SharedMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override { StartServer({}); }

  void StartServer(std::vector<std::string> flags) {
    flags.push_back("--device=cpu");
    auto server = testing::ServerProcess::Start(
        testing::BinaryOfBuild(ACTSERVED_BINARY), flags);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    shared_ = *Client::Connect(server_->unix_address());
    sent_ = *Client::Connect(server_->unix_address(), {.shared_memory = false});
  }

  // The bytes of the server's mappings of that name.
  int64_t MappedBytes(const std::string& name) const {
    std::ifstream maps(absl::StrCat("/proc/", server_->pid(), "/maps"));
    int64_t bytes = 0;
    for (std::string line; std::getline(maps, line);) {
      unsigned long begin = 0, end = 0;
      if (absl::StrContains(line, name) &&
          sscanf(line.c_str(), "%lx-%lx", &begin, &end) == 2) {
        bytes += static_cast<int64_t>(end - begin);
      }
    }
    return bytes;
  }
  int64_t RegionBytes() const { return MappedBytes("actserve-region"); }
  bool HasRing() const { return MappedBytes("actserve-ring") > 0; }

  std::unique_ptr<testing::ServerProcess> server_;
  std::unique_ptr<Client> shared_;
  std::unique_ptr<Client> sent_;
};

TEST_F(SharedMemoryTest, GivesTheSameBits) {
  for (const size_t size : kSizes) {
    const std::vector<float> x = Numbers(size, 3);
    std::vector<float> shared(size), sent(size);

    const absl::Status by_sharing =
        shared_->Forward("gelu", {View(x)}, MutableBytes(shared));
    const absl::Status by_sending =
        sent_->Forward("gelu", {View(x)}, MutableBytes(sent));

    ASSERT_TRUE(by_sharing.ok()) << by_sharing;
    ASSERT_TRUE(by_sending.ok()) << by_sending;
    EXPECT_EQ(shared, sent) << size;
  }
  EXPECT_GT(RegionBytes(), 0);
}

TEST_F(SharedMemoryTest, IsNotBoundByTheLimitOfAMessage) {
  StartServer({"--max_message_bytes=1000000"});
  const std::vector<float> x = Numbers(1'000'000);
  std::vector<float> y(x.size());

  const absl::Status shared =
      shared_->Forward("relu", {View(x)}, MutableBytes(y));
  const absl::Status sent = sent_->Forward("relu", {View(x)}, MutableBytes(y));

  EXPECT_TRUE(shared.ok()) << shared;
  EXPECT_TRUE(absl::IsResourceExhausted(sent)) << sent;
}

TEST_F(SharedMemoryTest, GradientsOfAllKinds) {
  const auto registered = shared_->RegisterActivation(kLeaky);
  ASSERT_TRUE(registered.ok()) << registered.status();
  for (const size_t size : kSizes) {
    const std::vector<float> x = Numbers(size, 2), dy = Numbers(size);
    const auto run = [&](Client& client, bool by_handle) {
      std::vector<float> y(size), dx(size);
      BackwardCall call;
      call.activation = registered->activation().id();
      call.grad_output = View(dy);
      call.wrt = {{"x", MutableBytes(dx)}, {"a", {}}};
      call.options.parameters = {{"a", 0.25}};
      if (by_handle) {
        ForwardCall forward;
        forward.activation = call.activation;
        forward.inputs = {View(x)};
        forward.output = MutableBytes(y);
        forward.keep_residual = true;
        forward.options = call.options;
        const auto kept = client.ForwardWith(forward);
        EXPECT_TRUE(kept.ok()) << kept.status();
        call.residual = kept->residual->handle();
        call.options.parameters.clear();
      } else {
        call.inputs = {View(x)};
      }
      const auto result = client.Backward(call);
      EXPECT_TRUE(result.ok()) << result.status();
      return std::pair(dx, result->parameter_gradients.at("a"));
    };

    EXPECT_EQ(run(*shared_, false), run(*sent_, false)) << size;
    EXPECT_EQ(run(*shared_, true), run(*sent_, false)) << size;
  }
}

TEST_F(SharedMemoryTest, ComputesInPlace) {
  constexpr size_t kCount = 1 << 20;
  const auto x = shared_->Allocate(kCount * sizeof(float));
  const auto y = shared_->Allocate(kCount * sizeof(float));
  const std::vector<float> numbers = Numbers(kCount, 4);
  std::memcpy(x.get(), numbers.data(), kCount * sizeof(float));
  std::vector<float> sent(kCount);
  const TensorView view = {v1::DTYPE_FLOAT32,
                           {static_cast<int64_t>(kCount)},
                           {x.get(), kCount * sizeof(float)}};

  const absl::Status status = shared_->Forward(
      "silu", {view}, absl::MakeSpan(y.get(), kCount * sizeof(float)));
  // The output may be the input's memory.
  const absl::Status over = shared_->Forward(
      "silu", {view}, absl::MakeSpan(x.get(), kCount * sizeof(float)));

  ASSERT_TRUE(status.ok()) << status;
  ASSERT_TRUE(over.ok()) << over;
  ASSERT_TRUE(sent_->Forward("silu", {View(numbers)}, MutableBytes(sent)).ok());
  EXPECT_EQ(std::memcmp(y.get(), sent.data(), kCount * sizeof(float)), 0);
  EXPECT_EQ(std::memcmp(x.get(), sent.data(), kCount * sizeof(float)), 0);
}

// The answer may not fit into a slot, and its size be unknown to the caller.
TEST_F(SharedMemoryTest, AnAnswerThatDoesNotFitIsFetched) {
  constexpr int kCount = 3000;
  v1::ForwardRequest request;
  request.set_activation("relu");
  v1::Tensor& tensor = *request.add_inputs();
  tensor.set_dtype(v1::DTYPE_FLOAT32);
  tensor.add_shape(kCount);
  request.add_partials("x");
  const std::vector<float> x = Numbers(kCount);
  request.add_payload(x.data(), kCount * sizeof(float));
  const std::string message = request.SerializeAsString();

  const auto reply = shared_->CallEncoded(
      "Forward",
      {{reinterpret_cast<const std::byte*>(message.data()), message.size()}},
      {}, {});

  ASSERT_TRUE(reply.ok()) << reply.status();
  ASSERT_EQ(reply->payloads.size(), 2);
  std::vector<float> y(kCount), partial(kCount);
  ASSERT_EQ(reply->payloads[0].size(), kCount * sizeof(float));
  ASSERT_EQ(reply->payloads[1].size(), kCount * sizeof(float));
  std::memcpy(y.data(), reply->payloads[0].data(), kCount * sizeof(float));
  std::memcpy(partial.data(), reply->payloads[1].data(),
              kCount * sizeof(float));
  for (int i = 0; i < kCount; ++i) {
    ASSERT_EQ(y[i], std::max(x[i], 0.0F)) << i;
    ASSERT_EQ(partial[i], x[i] > 0 ? 1 : 0) << i;
  }
  EXPECT_GT(RegionBytes(), 0);
}

TEST_F(SharedMemoryTest, ErrorsAreThoseOfTheServer) {
  for (const size_t size : {size_t{4}, size_t{100'000}}) {
    const std::vector<float> x = Numbers(size);
    std::vector<float> y(size);

    const absl::Status shared =
        shared_->Forward("sha256:0123", {View(x)}, MutableBytes(y));
    const absl::Status sent =
        sent_->Forward("sha256:0123", {View(x)}, MutableBytes(y));

    EXPECT_EQ(shared, sent);
    EXPECT_FALSE(shared.ok());
    EXPECT_EQ(ErrorReason(shared), ErrorReason(sent));
  }
}

TEST_F(SharedMemoryTest, ADeadlineThatHasPassed) {
  const std::vector<float> x = Numbers(1000);
  std::vector<float> y(1000);
  CallOptions options;
  options.timeout = absl::Nanoseconds(1);

  const absl::Status status =
      shared_->Forward("gelu", {View(x)}, MutableBytes(y), options);

  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

// The server said that the call was cancelled, which nobody had done.
TEST_F(SharedMemoryTest, ADeadlineThatPassesWhileTheServerStandsStill) {
  // Large enough to be queued.
  constexpr size_t kCount = 2 << 20;
  const auto x = shared_->Allocate(kCount * sizeof(float));
  std::memset(x.get(), 0, kCount * sizeof(float));
  const TensorView view = {
      v1::DTYPE_FLOAT32, {kCount}, {x.get(), kCount * sizeof(float)}};
  std::vector<float> y(kCount);
  ASSERT_TRUE(shared_->Forward("relu", {view}, MutableBytes(y)).ok());
  CallOptions options;
  options.timeout = absl::Milliseconds(100);
  server_->Pause();
  std::thread later([&] {
    absl::SleepFor(absl::Milliseconds(800));
    server_->Signal(SIGCONT);
  });

  const absl::Status status =
      shared_->Forward("relu", {view}, MutableBytes(y), options);

  later.join();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

TEST_F(SharedMemoryTest, ManyThreadsAtOnce) {
  // More than there are slots.
  std::vector<std::thread> threads;
  std::atomic<int> num_right = 0;
  for (int t = 0; t < 80; ++t) {
    threads.emplace_back([&, t] {
      const size_t size = t % 4 == 0 ? 50'000 : 100 + t;
      const std::vector<float> x(size, static_cast<float>(t + 1));
      std::vector<float> y(size);
      for (int i = 0; i < 20; ++i) {
        std::ranges::fill(y, 0.0F);
        if (shared_->Forward("relu", {View(x)}, MutableBytes(y)).ok() &&
            y == x) {
          ++num_right;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_right, 80 * 20);
}

TEST_F(SharedMemoryTest, AServerThatIsKilledIsFollowedByAnother) {
  const std::vector<float> x = Numbers(30'000);
  std::vector<float> y(30'000);
  ASSERT_TRUE(shared_->Forward("relu", {View(x)}, MutableBytes(y)).ok());
  const std::string address = server_->unix_address();
  std::atomic<bool> stopped = false;
  std::atomic<int> num_answers = 0, num_wrong = 0;
  std::thread caller([&] {
    std::vector<float> own(30'000);
    while (!stopped) {
      const absl::Status status =
          shared_->Forward("relu", {View(x)}, MutableBytes(own));
      if (status.ok() && own == y) {
        ++num_answers;
      } else {
        ADD_FAILURE() << status;
        ++num_wrong;
        return;
      }
    }
  });
  while (num_answers < 100 && num_wrong == 0) {
    absl::SleepFor(absl::Milliseconds(1));
  }

  server_->Signal(SIGKILL);
  server_->Wait();
  auto next = testing::ServerProcess::Start(
      testing::BinaryOfBuild(ACTSERVED_BINARY),
      {"--device=cpu",
       absl::StrCat("--unix_socket=", address.substr(strlen("unix:")))});
  ASSERT_TRUE(next.ok()) << next.status();
  // The folder of the socket goes with the first one.
  const auto first = std::exchange(server_, *std::move(next));
  const int before = num_answers;
  while (num_answers < before + 100 && num_wrong == 0) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  // It shares memory again.
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (!HasRing() && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_TRUE(HasRing());
  stopped = true;
  caller.join();
  EXPECT_EQ(num_wrong, 0);
}

TEST_F(SharedMemoryTest, AChildOfAForkSendsItsTensors) {
  const std::vector<float> x = Numbers(100);
  std::vector<float> y(100);
  ASSERT_TRUE(shared_->Forward("relu", {View(x)}, MutableBytes(y)).ok());

  const pid_t child = fork();
  if (child == 0) {
    // gRPC's threads do not follow, so only what is refused at once is asked.
    auto own = Client::Connect(server_->unix_address());
    std::vector<float> z(100);
    const bool same =
        own.ok() && (*own)->Forward("relu", {View(x)}, MutableBytes(z)).ok() &&
        z == y;
    _exit(same ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);

  EXPECT_EQ(status, 0);
  EXPECT_TRUE(shared_->Forward("relu", {View(x)}, MutableBytes(y)).ok());
}

TEST_F(SharedMemoryTest, AServerThatSharesNothing) {
  StartServer({"--shared_memory=false"});
  const std::vector<float> x = Numbers(30'000);
  std::vector<float> y(30'000);

  const absl::Status status =
      shared_->Forward("relu", {View(x)}, MutableBytes(y));

  EXPECT_TRUE(status.ok()) << status;
  EXPECT_FALSE(HasRing());
}

TEST_F(SharedMemoryTest, WhatTheServerDoesNotMapIsSent) {
  StartServer({"--max_shared_memory_bytes=1000000"});
  const std::vector<float> x = Numbers(30'000);
  std::vector<float> y(30'000), small(10);

  const absl::Status status =
      shared_->Forward("relu", {View(x)}, MutableBytes(y));

  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(RegionBytes(), 0);
  EXPECT_TRUE(HasRing());
}

TEST_F(SharedMemoryTest, IdleRegionsGo) {
  constexpr int64_t kMiB = 1 << 20;
  {
    // Each needs a region of its own.
    std::vector<std::shared_ptr<std::byte[]>> arrays;
    for (int k = 0; k < 8; ++k) {
      arrays.push_back(shared_->Allocate(100 * kMiB));
      std::vector<std::byte> y(kMiB);
      const TensorView view = {
          v1::DTYPE_FLOAT32, {1 << 18}, {arrays.back().get(), kMiB}};
      ASSERT_TRUE(shared_->Forward("relu", {view}, absl::MakeSpan(y)).ok());
    }
    EXPECT_GE(RegionBytes(), 800 * kMiB);
  }
  std::vector<float> y(10);
  const std::vector<float> x = Numbers(10);
  ASSERT_TRUE(shared_->Forward("relu", {View(x)}, MutableBytes(y)).ok());

  EXPECT_LE(RegionBytes(), 512 * kMiB);
}

}  // namespace
}  // namespace actserve
