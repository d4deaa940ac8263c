#include "client/cpp/raw_stub.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <thread>

#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "client/cpp/testing/fake_server.h"

namespace actserve {
namespace {

using ::actserve::testing::FakeServer;

constexpr size_t kLargeBytes = 64 << 20;

// Memory that faults, or breaks the connection that still sends from it, when
// it is read after its end.
class Pages {
 public:
  Pages()
      : data_(mmap(nullptr, kLargeBytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {}
  ~Pages() { munmap(data_, kLargeBytes); }

  ByteSpan bytes() const {
    return {static_cast<const std::byte*>(data_), kLargeBytes};
  }

 private:
  void* data_;
};

// gRPC reports a deadline while it still has the request queued. The memory is
// given back to the system the moment a call returns: if anything still read
// it, sendmsg would fail and take the connection down.
TEST(RawStub, LetsGoOfTheRequestBeforeItReturns) {
  FakeServer server;
  RawStub stub(MakeChannel(server.address()));
  int num_expired = 0;
  for (int i = 0; i < 60; ++i) {
    Pages pages;
    std::string head;
    AppendPayloadHeader(kLargeBytes, head);
    const ByteSpan head_bytes(reinterpret_cast<const std::byte*>(head.data()),
                              head.size());

    const auto reply = stub.Call("/actserve.v1.ActivationService/Forward",
                                 {head_bytes, pages.bytes()},
                                 absl::Now() + absl::Milliseconds(i % 15));

    EXPECT_EQ(stub.num_parts_on_loan(), 0);
    num_expired += reply.status.error_code() == grpc::DEADLINE_EXCEEDED;
  }

  EXPECT_GT(num_expired, 0);
  EXPECT_TRUE(stub.Call("/grpc.health.v1.Health/Check", {},
                        absl::Now() + absl::Seconds(20))
                  .status.ok());
}

TEST(RawStub, LetsGoOfTheRequestOfACancelledCall) {
  FakeServer server;
  RawStub stub(MakeChannel(server.address()));
  for (int i = 0; i < 20; ++i) {
    Pages pages;
    std::string head;
    AppendPayloadHeader(kLargeBytes, head);
    const ByteSpan head_bytes(reinterpret_cast<const std::byte*>(head.data()),
                              head.size());
    Cancellation cancellation;
    std::thread canceller([&] {
      cancellation.AwaitFor(absl::Milliseconds(i % 10));
      cancellation.Cancel();
    });

    const auto reply = stub.Call("/actserve.v1.ActivationService/Forward",
                                 {head_bytes, pages.bytes()},
                                 absl::InfiniteFuture(), &cancellation);

    EXPECT_EQ(stub.num_parts_on_loan(), 0);
    canceller.join();
  }
}

TEST(RawStub, TellsTheServersErrorsFromOthers) {
  FakeServer server;
  server.forward = [](grpc::ServerContext* context, const v1::ForwardRequest&,
                      v1::ForwardResponse&) {
    context->AddTrailingMetadata("grpc-retry-pushback-ms", "25");
    return grpc::Status(grpc::INTERNAL, "failed");
  };
  RawStub stub(MakeChannel(server.address()));
  for (const bool marked : {true, false}) {
    server.marks_errors = marked;

    const auto reply = stub.Call("/actserve.v1.ActivationService/Forward", {},
                                 absl::Now() + absl::Seconds(20));

    EXPECT_EQ(reply.status.error_code(), grpc::INTERNAL);
    EXPECT_EQ(reply.answered, marked);
    EXPECT_EQ(reply.retry_pushback, absl::Milliseconds(25));
  }
}

TEST(RawStub, ADeadlineInThePastSendsNothing) {
  FakeServer server;
  RawStub stub(MakeChannel(server.address()));

  const auto reply = stub.Call("/actserve.v1.ActivationService/Forward", {},
                               absl::UnixEpoch());

  EXPECT_EQ(reply.status.error_code(), grpc::DEADLINE_EXCEEDED);
  EXPECT_EQ(server.num_forward, 0);
}

}  // namespace
}  // namespace actserve
