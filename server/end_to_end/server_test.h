#ifndef ACTSERVE_SERVER_END_TO_END_SERVER_TEST_H_
#define ACTSERVE_SERVER_END_TO_END_SERVER_TEST_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "server/end_to_end/calls.h"
#include "server/testing/server_process.h"

namespace actserve::testing {

// One server for all tests of a suite.
class ServerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { StartServer({"--device=cpu"}); }
  static void TearDownTestSuite() {
    stub_.reset();
    channel_.reset();
    server_.reset();
  }

  static void StartServer(const std::vector<std::string>& flags) {
    auto server = ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY), flags);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = ChannelTo(server_->tcp_address());
    stub_ = v1::ActivationService::NewStub(channel_);
  }

  // The id of a text that must register.
  static std::string IdOf(const std::string& text) {
    v1::RegisterActivationResponse response;
    const grpc::Status status = Register(*stub_, text, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.activation().id();
  }

  inline static std::unique_ptr<ServerProcess> server_;
  inline static std::shared_ptr<grpc::Channel> channel_;
  inline static std::unique_ptr<Stub> stub_;
};

}  // namespace actserve::testing

#endif  // ACTSERVE_SERVER_END_TO_END_SERVER_TEST_H_
