#include "server/connections/open_connection.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "actserve/v1/service.grpc.pb.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "server/testing/http2_client.h"

namespace actserve {
namespace {

using testing::Http2Client;
using testing::WithPrefix;

constexpr char kMethod[] = "/actserve.v1.ActivationService/GetServerInfo";

class Answering final
    : public v1::ActivationService::WithRawCallbackMethod_GetServerInfo<
          v1::ActivationService::Service> {
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer*,
                                          grpc::ByteBuffer*) override {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status(grpc::StatusCode::NOT_FOUND, ""));
    return reactor;
  }
};

class OpenConnectionsTest : public ::testing::Test {
 protected:
  OpenConnectionsTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port_);
    server_ = builder.BuildAndStart();
  }

  std::unique_ptr<Http2Client> Connect() {
    auto client = Http2Client::Connect(absl::StrCat("127.0.0.1:", port_), {});
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }

  // Waits until the counts of the only connection are these.
  void ExpectCounts(Http2Client& client, const std::vector<int64_t>& expected) {
    std::vector<int64_t> counts;
    const absl::Time start = absl::Now();
    do {
      (void)client.ReadFor(absl::Milliseconds(10));
      const std::vector<OpenConnection> all = OpenConnections();
      ASSERT_EQ(all.size(), 1);
      counts = {all[0].streams_started, all[0].streams_succeeded,
                all[0].streams_failed, all[0].messages_received};
      EXPECT_EQ(all[0].peer.address, std::string("\x7f\0\0\1", 4));
    } while (counts != expected && absl::Now() - start < absl::Seconds(20));
    EXPECT_EQ(counts, expected);
  }

  Answering service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(OpenConnectionsTest, AMessageCountsOnceItIsWhole) {
  const auto client = Connect();
  const std::string body = WithPrefix(std::string(100, 'x'), 100);
  ExpectCounts(*client, {0, 0, 0, 0});

  const uint32_t stream = client->StartCall(kMethod).value();
  ExpectCounts(*client, {1, 0, 0, 0});
  ASSERT_TRUE(client->Send(stream, body.substr(0, 50), false).ok());
  // Whatever the server counts of the first half it counts before this call.
  ASSERT_TRUE(client->Call(kMethod, "").ok());
  ExpectCounts(*client, {2, 1, 0, 1});
  ASSERT_TRUE(client->Send(stream, body.substr(50), true).ok());
  ExpectCounts(*client, {2, 2, 0, 2});
}

TEST_F(OpenConnectionsTest, EveryConnectionIsListedWhileItIsOpen) {
  EXPECT_TRUE(OpenConnections().empty());
  auto first = Connect();
  ExpectCounts(*first, {0, 0, 0, 0});
  const int64_t id = OpenConnections().at(0).id;
  first.reset();
  while (!OpenConnections().empty()) absl::SleepFor(absl::Milliseconds(1));

  const auto second = Connect();
  ExpectCounts(*second, {0, 0, 0, 0});

  EXPECT_NE(OpenConnections().at(0).id, id);
}

}  // namespace
}  // namespace actserve
