#include "server/rpc/caller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "actserve/v1/service.grpc.pb.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"

namespace actserve {
namespace {

// Answers with the caller, as the server's version: "connection peer".
class TellsCaller final : public v1::ActivationService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const v1::GetServerInfoRequest*,
                                          v1::ServerInfo* response) override {
    const CallerId caller = CallerOf(*context);
    response->set_version(absl::StrCat(caller.connection, " ", caller.peer));
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

std::pair<std::string, std::string> CallerSeenBy(
    v1::ActivationService::Stub& stub) {
  grpc::ClientContext context;
  v1::ServerInfo info;
  EXPECT_TRUE(stub.GetServerInfo(&context, {}, &info).ok());
  return absl::StrSplit(info.version(), ' ');
}

TEST(Caller, IsOnePeerWithItsConnections) {
  for (const std::string& address :
       {std::string("127.0.0.1:0"),
        absl::StrCat("unix:", ::testing::TempDir(), "connection_test.sock")}) {
    SCOPED_TRACE(address);
    TellsCaller service;
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service);
    const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    const std::string target =
        address[0] == 'u' ? address : absl::StrCat("127.0.0.1:", port);
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    std::vector<std::unique_ptr<v1::ActivationService::Stub>> stubs;
    std::set<std::string> connections;
    std::set<std::string> peers;

    for (int i = 0; i < 4; ++i) {
      stubs.push_back(v1::ActivationService::NewStub(grpc::CreateCustomChannel(
          target, grpc::InsecureChannelCredentials(), arguments)));
      const auto [connection, peer] = CallerSeenBy(*stubs.back());
      connections.insert(connection);
      peers.insert(peer);
    }

    EXPECT_EQ(connections.size(), 4u);
    EXPECT_EQ(connections.count("0"), 0u);
    EXPECT_EQ(peers.size(), 1u);
    EXPECT_EQ(CallerSeenBy(*stubs[0]), CallerSeenBy(*stubs[0]));
    EXPECT_EQ(connections.count(CallerSeenBy(*stubs[0]).first), 1u);
  }
}

TEST(Caller, APeerIsAHost) {
  const uint64_t v4 = PeerOf("ipv4:10.0.0.1:4711");
  EXPECT_EQ(PeerOf("ipv4:10.0.0.1:4712"), v4);
  EXPECT_NE(PeerOf("ipv4:10.0.0.2:4711"), v4);

  const uint64_t v6 = PeerOf("ipv6:%5B2001:db8::1%5D:4711");
  EXPECT_EQ(PeerOf("ipv6:[2001:db8::1]:1"), v6);
  EXPECT_EQ(PeerOf("ipv6:%5B2001:db8::ffff:1%5D:4711"), v6) << "the same /64";
  EXPECT_NE(PeerOf("ipv6:%5B2001:db8:0:1::1%5D:4711"), v6);
  EXPECT_NE(PeerOf("ipv6:%5Bfe80::1%25eth0%5D:4711"), v6);

  EXPECT_EQ(PeerOf("unix:"), PeerOf("unix:/run/s.sock"));
  EXPECT_NE(PeerOf("unix:"), v4);
  EXPECT_EQ(PeerOf("what"), PeerOf("what"));
}

}  // namespace
}  // namespace actserve
