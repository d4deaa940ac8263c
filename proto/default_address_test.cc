#include "proto/default_address.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

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

  void Listen(const std::string& path) {
    mkdir((folder_ + "/actserve").c_str(), 0700);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    ASSERT_LT(path.size(), sizeof(address.sun_path));
    std::memcpy(address.sun_path, path.data(), path.size());
    ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
              0);
    close(fd);
  }

  std::string folder_;
};

TEST_F(DefaultAddressTest, TheEnvironmentComesFirst) {
  setenv("ACTSERVE_ADDRESS", "elsewhere:1", 1);
  EXPECT_EQ(DefaultAddress(), "elsewhere:1");
}

TEST_F(DefaultAddressTest, ThenTheDefaultSocketIfItExists) {
  Listen(DefaultSocketPath());
  EXPECT_EQ(DefaultAddress(), "unix:" + folder_ + "/actserve/actserve.sock");
}

TEST_F(DefaultAddressTest, ASocketInAFolderThatOthersWriteIsNotUsed) {
  Listen(DefaultSocketPath());
  ASSERT_EQ(chmod((folder_ + "/actserve").c_str(), 0777), 0);
  EXPECT_EQ(DefaultAddress(), kDefaultTcpAddress);
}

TEST_F(DefaultAddressTest, ThenLoopback) {
  EXPECT_EQ(DefaultAddress(), "127.0.0.1:50051");
}

TEST_F(DefaultAddressTest, WithoutARuntimeFolderTheSocketIsTheUsersInTmp) {
  unsetenv("XDG_RUNTIME_DIR");
  EXPECT_EQ(DefaultSocketPath(),
            "/tmp/actserve-" + std::to_string(getuid()) + "/actserve.sock");
}

}  // namespace
}  // namespace actserve
