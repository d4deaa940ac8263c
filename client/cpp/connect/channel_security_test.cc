#include "client/cpp/connect/channel_security.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ChannelSecurityTest : public ::testing::Test {
 protected:
  ChannelSecurityTest() {
    std::string name = absl::StrCat(::testing::TempDir(), "securityXXXXXX");
    folder_ = mkdtemp(name.data());
  }
  ~ChannelSecurityTest() override {
    unsetenv("ACTSERVE_TOKEN_FILE");
    std::filesystem::remove_all(folder_);
  }
  std::string Write(const std::string& name, const std::string& content) {
    std::ofstream(folder_ + "/" + name) << content;
    return folder_ + "/" + name;
  }
  static std::string ErrorOf(const Security& security,
                             const std::string& address = "127.0.0.1:1") {
    return std::string(LoadSecurity(security, address).status().message());
  }

  std::string folder_;
};

TEST_F(ChannelSecurityTest, SendsNoTokenInPlainTextToAnotherMachine) {
  Security security;
  security.token = "secret-token";

  for (const std::string& address :
       {std::string("10.0.0.1:1"), std::string("dns:///example.com:1"),
        std::string("127.0.0.1:1,10.0.0.1:1"),
        std::string("ipv4:10.0.0.1:1")}) {
    SCOPED_TRACE(address);
    EXPECT_THAT(ErrorOf(security, address), HasSubstr("in plain text"));
    EXPECT_THAT(ErrorOf(security, address), Not(HasSubstr("secret-token")));
  }
  for (const std::string& address :
       {std::string("127.0.0.1:1"), std::string("localhost:1"),
        std::string("unix:/tmp/s")}) {
    EXPECT_EQ(ErrorOf(security, address), "");
  }
  security.insecure = true;
  EXPECT_EQ(ErrorOf(security, "10.0.0.1:1"), "");
  security.insecure = false;
  security.tls_ca = Write("ca", "PEM");
  EXPECT_EQ(ErrorOf(security, "10.0.0.1:1"), "");
}

// Whose name began with "unix" was once spoken to in plain text, and so was all
// of a list that began with a socket.
TEST_F(ChannelSecurityTest, EncryptsAllButUnixSockets) {
  Security security;
  security.tls_ca = Write("ca", "PEM");

  for (const std::string address :
       {"10.0.0.1:1", "unixbox:1", "unix:/s,10.0.0.1:1",
        "10.0.0.1:1,unix:/s"}) {
    const auto loaded = LoadSecurity(security, address);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_NE(loaded->credentials, nullptr) << address;
  }
  security.tls_ca = folder_ + "/none";
  EXPECT_EQ(ErrorOf(security, "unix:/s"), "");
  EXPECT_EQ(ErrorOf(security, "unix:/s,unix-abstract:t"), "");
}

TEST_F(ChannelSecurityTest, ReadsTheTokenAgainWhenItWasRefused) {
  Security security;
  security.token_file = Write("token", "one\n");
  const auto loaded = LoadSecurity(security, "127.0.0.1:1");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  TokenSource& token = *loaded->token;

  EXPECT_EQ(token.Get(), "one");
  EXPECT_FALSE(token.Refresh("one"));
  Write("token", "two");
  EXPECT_EQ(token.Get(), "one") << "a file is not read for each call";
  EXPECT_TRUE(token.Refresh("one"));
  EXPECT_EQ(token.Get(), "two");
  std::filesystem::remove(security.token_file);
  EXPECT_FALSE(token.Refresh("two"));
  EXPECT_EQ(token.Get(), "two");
}

TEST_F(ChannelSecurityTest, TakesTheFileFromTheEnvironment) {
  setenv("ACTSERVE_TOKEN_FILE", Write("token", "one").c_str(), 1);

  EXPECT_EQ(LoadSecurity({}, "127.0.0.1:1")->token->Get(), "one");
  Security security;
  security.token = "mine";
  EXPECT_EQ(LoadSecurity(security, "127.0.0.1:1")->token->Get(), "mine");
}

TEST_F(ChannelSecurityTest, TellsWhatIsWrongButNoToken) {
  Security security;
  security.token_file = folder_ + "/none";
  EXPECT_THAT(ErrorOf(security), HasSubstr("token_file: "));
  security.token_file = Write("token", "two words");
  EXPECT_THAT(ErrorOf(security), HasSubstr("token: it is not one line"));
  EXPECT_THAT(ErrorOf(security), Not(HasSubstr("words")));
  security.token = "one";
  EXPECT_THAT(ErrorOf(security), HasSubstr("both are given"));
  security.token_file = "";
  security.client_cert = Write("cert", "x");
  EXPECT_THAT(ErrorOf(security), HasSubstr("client_key"));
  security.client_key = security.client_cert;
  EXPECT_THAT(ErrorOf(security), HasSubstr("without tls_ca"));
  security.tls_ca = folder_ + "/none";
  EXPECT_THAT(ErrorOf(security), HasSubstr("tls_ca: "));
}

}  // namespace
}  // namespace actserve
