#include "server/listen/unix_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

namespace actserve {
namespace {

class UnixSocketTest : public testing::Test {
 protected:
  UnixSocketTest() {
    folder_ = testing::TempDir() + "unix_socket_XXXXXX";
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/s.sock";
  }
  ~UnixSocketTest() override {
    if (fd_ >= 0) close(fd_);
    std::filesystem::remove_all(folder_);
  }

  // Leaves a socket at path_, with somebody behind it or not.
  void Bind(bool listening) {
    fd_ = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
              0);
    if (listening) {
      ASSERT_EQ(listen(fd_, 1), 0);
    }
  }

  std::string folder_;
  std::string path_;
  int fd_ = -1;
};

TEST_F(UnixSocketTest, MakesTheDirectoryForTheOwnerAlone) {
  ASSERT_TRUE(PrepareUnixSocket(folder_ + "/new/s.sock").ok());

  struct stat info;
  ASSERT_EQ(stat((folder_ + "/new").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700);
}

TEST_F(UnixSocketTest, RemovesASocketThatNobodyListensOn) {
  Bind(/*listening=*/false);

  EXPECT_TRUE(PrepareUnixSocket(path_).ok());

  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(UnixSocketTest, LeavesASocketThatIsInUse) {
  Bind(/*listening=*/true);

  const absl::Status status = PrepareUnixSocket(path_);

  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(),
            "unix_socket: " + path_ + ": another server listens there");
  EXPECT_TRUE(std::filesystem::exists(path_));
}

// A server that starts beside one that stands still waited for it for ever.
TEST_F(UnixSocketTest, LeavesASocketWhoseServerAcceptsNobody) {
  Bind(/*listening=*/true);
  // The room for those who wait is for two.
  for (int i = 0; i < 4; ++i) {
    const absl::Status status = PrepareUnixSocket(path_);

    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  }
}

TEST_F(UnixSocketTest, LeavesAFileThatIsNoSocket) {
  std::ofstream(path_) << "precious";

  EXPECT_EQ(PrepareUnixSocket(path_).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(UnixSocketTest, AFileOfTheRootLiesInTheRoot) {
  const absl::Status status = PrepareUnixSocket("/tmp");

  EXPECT_EQ(status.message().find(": cannot be made"), std::string::npos)
      << status;
  EXPECT_FALSE(status.ok());
}

TEST_F(UnixSocketTest, RefusesADirectoryThatOthersCanWriteTo) {
  chmod(folder_.c_str(), 0777);
  EXPECT_EQ(PrepareUnixSocket(path_).message(),
            "unix_socket: " + folder_ + ": can be written to by other users");
}

// In /tmp anyone may have put a link where the directory should be.
TEST_F(UnixSocketTest, RefusesADirectoryThatIsALink) {
  const std::string link = folder_ + "/link";
  ASSERT_EQ(symlink(folder_.c_str(), link.c_str()), 0);
  EXPECT_EQ(PrepareUnixSocket(link + "/s.sock").message(),
            "unix_socket: " + link + ": not a directory");
}

TEST_F(UnixSocketTest, RefusesAPathThatIsTooLong) {
  const std::string path = "/" + std::string(107, 'a');
  EXPECT_EQ(PrepareUnixSocket(path).message(),
            "unix_socket: " + path + ": 108 bytes, limit 107");
}

}  // namespace
}  // namespace actserve
