// What a client of a stream can do wrong, and what the server does about it.
// That streams give the bits of unary calls is shown in client/cpp/stream/.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/sync_stream.h"
#include "server/end_to_end/calls.h"
#include "server/end_to_end/nothing_held.h"
#include "server/end_to_end/scrape.h"
#include "server/observe/resident_bytes.h"
#include "server/testing/server_process.h"

namespace actserve::testing {
namespace {

using grpc::StatusCode;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

using Request = v1::ForwardStreamRequest;
using Response = v1::ForwardStreamResponse;

constexpr int64_t kMiB = int64_t{1} << 20;

// A ForwardStream of one call.
class Stream {
 public:
  explicit Stream(Stub& stub, absl::Duration timeout = absl::Minutes(1)) {
    context_.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
    stream_ = stub.ForwardStream(&context_);
  }
  ~Stream() {
    if (!finished_) {
      context_.TryCancel();
      Finish();
    }
  }

  bool Write(const Request& message) { return stream_->Write(message); }
  bool WriteFirst(const v1::ForwardRequest& request) {
    Request message;
    *message.mutable_request() = request;
    return Write(message);
  }
  bool WriteChunk(int tensor, int64_t offset, const std::string& payload) {
    Request message;
    message.set_tensor(tensor);
    message.set_offset(offset);
    message.set_payload(payload);
    return Write(message);
  }
  void WritesDone() { stream_->WritesDone(); }
  bool Read(Response* message) { return stream_->Read(message); }
  void Cancel() { context_.TryCancel(); }

  // Reads all that comes, and returns how the stream ends.
  grpc::Status Finish() {
    Response message;
    while (stream_->Read(&message)) Count(message);
    finished_ = true;
    return stream_->Finish();
  }
  void Count(const Response& message) {
    received_bytes_ += static_cast<int64_t>(message.payload().size());
    if (message.has_response()) last_ = message.response();
  }
  int64_t received_bytes() const { return received_bytes_; }
  const v1::ForwardResponse& last() const { return last_; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> stream_;
  bool finished_ = false;
  int64_t received_bytes_ = 0;
  v1::ForwardResponse last_;
};

// A Forward of relu without its payload.
v1::ForwardRequest ReluOf(int64_t num_elements) {
  v1::ForwardRequest request;
  request.set_activation("relu");
  *request.add_inputs() = TensorOf(v1::DTYPE_FLOAT32, {num_elements});
  return request;
}

class StreamTest : public ::testing::Test {
 protected:
  void Start(std::vector<std::string> flags = {}) {
    flags.insert(flags.begin(), {"--device=cpu", "--log_level=debug"});
    auto server = ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY), flags);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::ActivationService::NewStub(ChannelTo(server_->tcp_address()));
  }

  // Still the same process, and right.
  void ExpectServes() {
    v1::ForwardResponse response;
    const grpc::Status status =
        Forward(*stub_, ForwardOf("relu", {-1, 2}), &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.payload(0), BytesOf<float>({0, 2}));
  }

  // A relu of `bytes`, by a client that obeys the window.
  grpc::Status Compute(int64_t bytes) {
    Stream stream(*stub_);
    stream.WriteFirst(ReluOf(bytes / 4));
    const std::string chunk(kMiB, '\0');
    int64_t sent = 0, window = kMiB;
    Response message;
    while (true) {
      while (sent < bytes && sent + kMiB <= window &&
             stream.WriteChunk(0, sent, chunk)) {
        sent += kMiB;
      }
      if (!stream.Read(&message)) break;
      if (message.window_bytes() > 0) window = message.window_bytes();
      window += message.taken_bytes() - taken_bytes_;
      taken_bytes_ = message.taken_bytes();
      stream.Count(message);
    }
    taken_bytes_ = 0;
    const grpc::Status status = stream.Finish();
    if (status.ok()) {
      EXPECT_EQ(stream.received_bytes(), bytes);
      EXPECT_TRUE(stream.last().has_timings());
    }
    return status;
  }

  void ExpectComputes(int64_t bytes) {
    const grpc::Status status = Compute(bytes);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }

  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<Stub> stub_;
  int64_t taken_bytes_ = 0;
};

TEST_F(StreamTest, AnswersBeforeItNeedsAChunk) {
  Start();
  Stream stream(*stub_);
  ASSERT_TRUE(stream.WriteFirst(ReluOf(2000)));
  Response first;
  ASSERT_TRUE(stream.Read(&first));
  EXPECT_EQ(first.response().output().shape(0), 2000);
  EXPECT_EQ(first.response().device(), "cpu");
  EXPECT_THAT(first.response().program_id(), HasSubstr("sha256:"));
  EXPECT_EQ(first.window_bytes(), 4 * kMiB);

  // Elements may straddle chunks.
  std::vector<float> x(2000), y(2000);
  for (int i = 0; i < 2000; ++i) {
    x[i] = static_cast<float>(i - 1000);
    y[i] = std::max(0.0F, x[i]);
  }
  ASSERT_TRUE(stream.WriteChunk(0, 0, BytesOf(x).substr(0, 4097)));
  ASSERT_TRUE(stream.WriteChunk(0, 4097, BytesOf(x).substr(4097)));
  Response chunk;
  ASSERT_TRUE(stream.Read(&chunk));
  EXPECT_EQ(chunk.payload(), BytesOf(y));
  EXPECT_EQ(chunk.offset(), 0);

  EXPECT_TRUE(stream.Finish().ok());
  EXPECT_EQ(stream.last().activation_id(), first.response().activation_id());
}

TEST_F(StreamTest, RefusesABadFirstMessage) {
  Start({"--max_message_bytes=2097152"});
  struct Case {
    std::string name;
    std::function<void(Request&)> change;
    StatusCode code;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"no request", [](Request& r) { r.clear_request(); },
       StatusCode::INVALID_ARGUMENT, "request: not set"},
      {"a payload", [](Request& r) { r.set_payload("abcd"); },
       StatusCode::INVALID_ARGUMENT, "payload: in the first message"},
      {"a payload of the request",
       [](Request& r) { r.mutable_request()->add_payload("abcd"); },
       StatusCode::INVALID_ARGUMENT, "sends its tensors in chunks"},
      {"a small window", [](Request& r) { r.set_window_bytes(1000); },
       StatusCode::INVALID_ARGUMENT,
       "window_bytes: 1000, must be at least 1048576"},
      {"a negative window", [](Request& r) { r.set_window_bytes(-1); },
       StatusCode::INVALID_ARGUMENT, "window_bytes: -1"},
      {"a wrong shape",
       [](Request& r) {
         *r.mutable_request()->mutable_inputs(0) =
             TensorOf(v1::DTYPE_FLOAT32, {-4});
       },
       StatusCode::INVALID_ARGUMENT, "dimension 0 is negative"},
      {"no such activation",
       [](Request& r) { r.mutable_request()->set_activation("nobody"); },
       StatusCode::NOT_FOUND, "nobody"},
      {"one piece that is too large",
       [](Request& r) {
         r.mutable_request()->set_activation("softmax");
         r.mutable_request()->set_axis(0);
         *r.mutable_request()->mutable_inputs(0) =
             TensorOf(v1::DTYPE_FLOAT32, {1 << 20});
       },
       StatusCode::INVALID_ARGUMENT,
       "rows along axis 0: tensors of 4194304 bytes, limit 2097152"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    Request message;
    *message.mutable_request() = ReluOf(4);
    each.change(message);
    Stream stream(*stub_);
    stream.Write(message);
    const grpc::Status status = stream.Finish();

    EXPECT_EQ(status.error_code(), each.code);
    EXPECT_THAT(status.error_message(), HasSubstr(each.message));
    if (each.code == StatusCode::NOT_FOUND) {
      EXPECT_EQ(ReasonOf(status), "ACTIVATION_UNKNOWN");
    }
  }
  ExpectServes();
  ExpectNothingHeld(*server_);
}

TEST_F(StreamTest, RefusesBadChunks) {
  Start();
  struct Case {
    std::string name;
    std::function<void(Stream&)> write;
    std::string message;
  };
  const std::string some(4096, '\0');
  const std::vector<Case> cases = {
      {"a gap", [&](Stream& s) { s.WriteChunk(0, 4, some); },
       "tensor 0: chunk at offset 4, expected 0"},
      {"a repeat",
       [&](Stream& s) {
         s.WriteChunk(0, 0, some);
         s.WriteChunk(0, 0, some);
       },
       "tensor 0: chunk at offset 0, expected 4096"},
      {"a negative offset", [&](Stream& s) { s.WriteChunk(0, -4, some); },
       "offset -4, expected 0"},
      {"beyond the end",
       [&](Stream& s) { s.WriteChunk(0, 0, std::string(16385, '\0')); },
       "chunk of 16385 bytes at offset 0 ends beyond the tensor, which has "
       "16384"},
      {"no such tensor", [&](Stream& s) { s.WriteChunk(2, 0, some); },
       "tensor 2: the request has 2 tensors"},
      {"a negative tensor", [&](Stream& s) { s.WriteChunk(-1, 0, some); },
       "tensor -1"},
      {"an empty chunk", [&](Stream& s) { s.WriteChunk(1, 0, ""); },
       "tensor 1: chunk at offset 0 is empty"},
      {"the first message again", [&](Stream& s) { s.WriteFirst(ReluOf(4)); },
       "request: set in another message"},
      {"an early end",
       [&](Stream& s) {
         s.WriteChunk(0, 0, std::string(16384, '\0'));
         s.WriteChunk(1, 0, some);
         s.WritesDone();
       },
       "tensor 1: the stream ended at offset 4096, expected 16384"},
      {"a small chunk",
       [&](Stream& s) { s.WriteChunk(0, 0, std::string(4095, '\0')); },
       "chunk of 4095 bytes at offset 0, must be at least 4096 unless it ends "
       "its tensor"},
      {"a large chunk",
       [&](Stream& s) { s.WriteChunk(0, 0, std::string(kMiB + 1, '\0')); },
       "chunk of 1048577 bytes at offset 0, limit 1048576"},
  };
  v1::RegisterActivationResponse registered;
  ASSERT_TRUE(
      Register(*stub_, "def f(x, y):\n    return x * y\n", &registered).ok());
  v1::ForwardRequest request = ReluOf(4096);
  request.set_activation(registered.activation().id());
  *request.add_inputs() = request.inputs(0);
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    Stream stream(*stub_);
    ASSERT_TRUE(stream.WriteFirst(request));
    each.write(stream);
    const grpc::Status status = stream.Finish();

    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr(each.message));
  }
  ExpectServes();
  ExpectNothingHeld(*server_);
}

TEST_F(StreamTest, RefusesATensorThatIsTooFarAhead) {
  Start();
  v1::RegisterActivationResponse registered;
  ASSERT_TRUE(
      Register(*stub_, "def f(x, y):\n    return x * y\n", &registered).ok());
  v1::ForwardRequest request = ReluOf(16 * kMiB);
  request.set_activation(registered.activation().id());
  *request.add_inputs() = request.inputs(0);
  Stream stream(*stub_);
  ASSERT_TRUE(stream.WriteFirst(request));
  const std::string chunk(kMiB, '\0');
  for (int64_t at = 0; at < 16 * kMiB; at += kMiB) {
    if (!stream.WriteChunk(0, at, chunk)) break;
  }
  const grpc::Status status = stream.Finish();

  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(),
              AllOf(HasSubstr("tensor 1 has come to byte 0"),
                    HasSubstr("tensor 0 to 4194304"),
                    HasSubstr("the window of 4194304 bytes")));
  ExpectNothingHeld(*server_);
}

// Bytes that are no messages of a stream, in any number.
TEST_F(StreamTest, SurvivesMessagesOfRandomBytes) {
  Start();
  std::mt19937_64 random(7);
  Request first;
  *first.mutable_request() = ReluOf(100);
  Request chunk;
  chunk.set_payload(std::string(400, '\1'));
  for (int i = 0; i < 300; ++i) {
    Stream stream(*stub_);
    if (random() % 4 != 0) stream.Write(first);
    for (uint64_t k = random() % 6; k > 0; --k) {
      Request message = random() % 3 == 0 ? first : chunk;
      std::string bytes = message.SerializeAsString();
      for (uint64_t changes = random() % 4; changes > 0; --changes) {
        bytes[random() % bytes.size()] = static_cast<char>(random());
      }
      // What the generated class reads in them, unknown fields included.
      Request sent;
      if (sent.ParseFromString(bytes)) stream.Write(sent);
    }
    switch (random() % 3) {
      case 0:
        stream.WritesDone();
        [[fallthrough]];
      case 1:
        stream.Cancel();
        [[fallthrough]];
      default:
        break;
    }
  }
  ExpectServes();
  ExpectNothingHeld(*server_);
}

// The server ended such a call, waited for its program with what was freed, and
// crashed.
TEST_F(StreamTest, MayBeCancelledWhileItsFirstMessageIsRead) {
  Start();
  // Each is compiled anew.
  for (const char* activation :
       {"elu", "gelu", "hardswish", "leaky_relu", "mish", "relu6", "selu",
        "sigmoid", "silu", "softplus", "softsign", "tanh"}) {
    SCOPED_TRACE(activation);
    std::vector<std::thread> clients;
    for (int c = 0; c < 4; ++c) {
      clients.emplace_back([&] {
        for (int i = 0; i < 10; ++i) {
          Stream stream(*stub_);
          v1::ForwardRequest request = ReluOf(100);
          request.set_activation(activation);
          stream.WriteFirst(request);
          stream.Cancel();
        }
      });
    }
    for (std::thread& client : clients) client.join();
    ExpectServes();
  }
  ExpectNothingHeld(*server_);
}

TEST_F(StreamTest, LeavesNothingBehindWhenClientsGo) {
  Start();
  const std::string chunk(kMiB, '\0');
  for (int i = 0; i < 30; ++i) {
    Stream stream(*stub_);
    ASSERT_TRUE(stream.WriteFirst(ReluOf(64 * kMiB)));
    for (int k = 0; k < i % 7; ++k) {
      if (!stream.WriteChunk(0, k * kMiB, chunk)) break;
    }
    if (i % 2 == 0) stream.Cancel();
  }
  ExpectServes();
  ExpectNothingHeld(*server_);
}

// One that sends too little, and one that does not read.
TEST_F(StreamTest, EndsThoseWhoseClientStops) {
  Start({"--body_timeout=1s"});
  Stream silent(*stub_);
  ASSERT_TRUE(silent.WriteFirst(ReluOf(16 * kMiB)));
  ASSERT_TRUE(silent.WriteChunk(0, 0, std::string(4096, '\0')));
  const auto unread_stub =
      v1::ActivationService::NewStub(ChannelTo(server_->tcp_address()));
  Stream unread(*unread_stub);
  ASSERT_TRUE(unread.WriteFirst(ReluOf(64 * kMiB)));
  const std::string chunk(kMiB, '\0');
  int64_t sent = 0;
  while (sent < 256 * kMiB && unread.WriteChunk(0, sent, chunk)) sent += kMiB;

  EXPECT_LT(sent, 256 * kMiB);
  EXPECT_EQ(unread.Finish().error_code(), StatusCode::CANCELLED);
  EXPECT_EQ(silent.Finish().error_code(), StatusCode::CANCELLED);
  EXPECT_TRUE(server_->WaitForEvent("stream_stalled"));
  ExpectServes();
  ExpectNothingHeld(*server_);
}

TEST_F(StreamTest, EndsAtItsDeadline) {
  Start();
  Stream stream(*stub_, absl::Milliseconds(300));
  ASSERT_TRUE(stream.WriteFirst(ReluOf(16 * kMiB)));

  EXPECT_EQ(stream.Finish().error_code(), StatusCode::DEADLINE_EXCEEDED);
  ExpectServes();
  ExpectNothingHeld(*server_);
}

TEST_F(StreamTest, OneThatRunsEndsBeforeTheServerDoes) {
  Start();
  Stream stream(*stub_);
  ASSERT_TRUE(stream.WriteFirst(ReluOf(2 * kMiB)));
  Response first;
  ASSERT_TRUE(stream.Read(&first));
  server_->Signal(SIGTERM);
  ASSERT_TRUE(server_->WaitForEvent("refusing"));

  Stream late(*stub_);
  late.WriteFirst(ReluOf(1));
  EXPECT_EQ(late.Finish().error_code(), StatusCode::UNAVAILABLE);
  const std::string chunk(kMiB, '\0');
  for (int k = 0; k < 8; ++k) {
    ASSERT_TRUE(stream.WriteChunk(0, k * kMiB, chunk));
  }
  EXPECT_TRUE(stream.Finish().ok());
  EXPECT_EQ(stream.received_bytes(), 8 * kMiB);
  EXPECT_EQ(server_->Wait(), 0);
}

// 512 MiB through a server that may hold 64.
TEST_F(StreamTest, TakesMemoryThatDoesNotGrowWithItsTensors) {
  Start({"--max_memory_bytes=67108864", "--max_message_bytes=8388608",
         "--max_idle_buffer_bytes=16777216"});
  ExpectComputes(4 * kMiB);
  [[maybe_unused]] const int64_t before = ResidentBytes(server_->pid());
  int64_t peak = 0;
  std::atomic<bool> stopped = false;
  std::thread watch([&] {
    while (!stopped) {
      peak = std::max(peak, ResidentBytes(server_->pid()));
      absl::SleepFor(absl::Milliseconds(5));
    }
  });
  ExpectComputes(512 * kMiB);
  stopped = true;
  watch.join();

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(peak - before, 40 * kMiB);
#endif
  ExpectNothingHeld(*server_);
}

// Half of the memory is for requests, and one peer gets 4/5 of it.
TEST_F(StreamTest, IsRefusedAtOnceWhereThereIsNoMemory) {
  Start({"--max_memory_bytes=33554432", "--max_message_bytes=2097152"});
  std::vector<std::unique_ptr<Stream>> streams;
  int num_accepted = 0;
  for (int i = 0; i < 8; ++i) {
    streams.push_back(std::make_unique<Stream>(*stub_));
    ASSERT_TRUE(streams.back()->WriteFirst(ReluOf(64 * kMiB)));
    Response first;
    num_accepted += streams.back()->Read(&first);
  }

  EXPECT_GE(num_accepted, 1);
  EXPECT_LE(num_accepted, 3);
  const grpc::Status status = streams.back()->Finish();
  EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("memory for requests"));
  streams.clear();
  grpc::Status later;
  for (int i = 0; i < 100; ++i) {
    later = Compute(4 * kMiB);
    if (later.error_code() != StatusCode::RESOURCE_EXHAUSTED) break;
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_TRUE(later.ok()) << later.error_message();
  ExpectNothingHeld(*server_);
}

TEST_F(StreamTest, IsCountedAsACall) {
  Start({"--metrics=127.0.0.1:0", "--access_log"});
  ExpectComputes(4 * kMiB);
  ASSERT_TRUE(server_->WaitForEvent("request"));

  const std::vector<std::string> log = server_->log();
  EXPECT_THAT(log, Contains(AllOf(HasSubstr("\"method\":\"ForwardStream\""),
                                  HasSubstr("\"code\":\"OK\""),
                                  HasSubstr("\"elements\":1048576"))));
  // Counted once its end is sent, which its client may see before.
  int num_counted = 0;
  for (int i = 0; i < 1000 && num_counted == 0; ++i) {
    for (const auto& [name, value] :
         SeriesOf(Scrape(MetricsAddressOf(*server_)))) {
      const bool is_it =
          name.starts_with("grpc_server_handled_total") &&
          absl::StrContains(name, "grpc_method=\"ForwardStream\"") &&
          absl::StrContains(name, "grpc_code=\"OK\"");
      if (is_it) num_counted += static_cast<int>(value);
    }
  }
  EXPECT_EQ(num_counted, 1);
  ExpectNothingHeld(*server_);
}

}  // namespace
}  // namespace actserve::testing
