#include "proto/default_address.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

namespace actserve {
namespace {

// A clean environment with a runtime folder of its own.
class DefaultAddressTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = ::testing::TempDir() + "/addressXXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    setenv("XDG_RUNTIME_DIR", folder.c_str(), 1);
    unsetenv("ACTSERVE_ADDRESS");
    folder_ = folder;
  }

  void TearDown() override { close(fd_); }

  // A socket at `path`, which a server listens on.
  void Bind(const std::string& path) {
    mkdir((folder_ + "/actserve").c_str(), 0700);
    fd_ = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    ASSERT_LT(path.size(), sizeof(address.sun_path));
    std::memcpy(address.sun_path, path.data(), path.size());
    ASSERT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
              0);
    ASSERT_EQ(listen(fd_, 1), 0);
  }

  int fd_ = -1;
  std::string folder_;
};

TEST_F(DefaultAddressTest, TheEnvironmentComesFirst) {
  setenv("ACTSERVE_ADDRESS", "elsewhere:1", 1);
  EXPECT_EQ(DefaultAddress(), "elsewhere:1");
}

TEST_F(DefaultAddressTest, ThenTheDefaultSocketIfAServerListens) {
  Bind(DefaultSocketPath());
  EXPECT_EQ(DefaultAddress(), "unix:" + folder_ + "/actserve/actserve.sock");
}

TEST_F(DefaultAddressTest, ASocketThatAKilledServerLeftIsNotUsed) {
  Bind(DefaultSocketPath());
  close(std::exchange(fd_, -1));
  EXPECT_EQ(DefaultAddress(), "");
}

TEST_F(DefaultAddressTest, ASocketInAFolderThatOthersWriteIsNotUsed) {
  Bind(DefaultSocketPath());
  ASSERT_EQ(chmod((folder_ + "/actserve").c_str(), 0777), 0);
  EXPECT_EQ(DefaultAddress(), "");
}

TEST_F(DefaultAddressTest, OtherwiseThereIsNone) {
  EXPECT_EQ(DefaultAddress(), "");
}

TEST_F(DefaultAddressTest, WithoutARuntimeFolderTheSocketIsTheUsersInTmp) {
  unsetenv("XDG_RUNTIME_DIR");
  EXPECT_EQ(DefaultSocketPath(),
            "/tmp/actserve-" + std::to_string(getuid()) + "/actserve.sock");
}

}  // namespace
}  // namespace actserve
