#include "server/rpc/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
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

// Answers with the number of the connection, as the server's version.
class TellsConnection final : public v1::ActivationService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const v1::GetServerInfoRequest*,
                                          v1::ServerInfo* response) override {
    response->set_version(absl::StrCat(ConnectionOf(*context)));
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

std::string ConnectionSeenBy(v1::ActivationService::Stub& stub) {
  grpc::ClientContext context;
  v1::ServerInfo info;
  EXPECT_TRUE(stub.GetServerInfo(&context, {}, &info).ok());
  return info.version();
}

TEST(Connection, IsOneNumberForEachConnection) {
  for (const std::string& address :
       {std::string("127.0.0.1:0"),
        absl::StrCat("unix:", ::testing::TempDir(), "connection_test.sock")}) {
    SCOPED_TRACE(address);
    TellsConnection service;
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
    std::set<std::string> numbers;

    for (int i = 0; i < 4; ++i) {
      stubs.push_back(v1::ActivationService::NewStub(grpc::CreateCustomChannel(
          target, grpc::InsecureChannelCredentials(), arguments)));
      numbers.insert(ConnectionSeenBy(*stubs.back()));
    }

    EXPECT_EQ(numbers.size(), 4u);
    EXPECT_EQ(numbers.count("0"), 0u);
    EXPECT_EQ(ConnectionSeenBy(*stubs[0]), ConnectionSeenBy(*stubs[0]));
    EXPECT_EQ(numbers.count(ConnectionSeenBy(*stubs[0])), 1u);
  }
}

}  // namespace
}  // namespace actserve
