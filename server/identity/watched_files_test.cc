#include "server/identity/watched_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernels/device/testing/scratch_directory.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;

class WatchedFilesTest : public ::testing::Test {
 protected:
  WatchedFilesTest() {}

  std::string PathOf(const std::string& name) const {
    return absl::StrCat(folder_.path(), "/", name);
  }
  // As a careful writer does: readers see the old content or the new one.
  std::string Replace(const std::string& name, const std::string& content) {
    std::ofstream(PathOf("draft")) << content;
    std::filesystem::rename(PathOf("draft"), PathOf(name));
    return PathOf(name);
  }

  const testing::ScratchDirectory folder_;
};

TEST_F(WatchedFilesTest, AChangeCountsOnceTheFilesAreQuiet) {
  WatchedFiles files({Replace("a", "1"), Replace("b", "1")});
  EXPECT_FALSE(files.Changed());

  Replace("a", "2");
  EXPECT_FALSE(files.Changed()) << "b may be about to change too";
  Replace("b", "2");
  EXPECT_FALSE(files.Changed());

  EXPECT_TRUE(files.Changed());
  EXPECT_FALSE(files.Changed());
}

// A revoked token must not live on for as long as somebody writes the file.
TEST_F(WatchedFilesTest, AFileThatNeverRestsIsReadAllTheSame) {
  WatchedFiles files({Replace("a", "0")});
  int num_read = 0;
  for (int i = 1; i <= 9; ++i) {
    Replace("a", std::string(i, 'x'));
    num_read += files.Changed();
  }
  EXPECT_EQ(num_read, 3);
}

TEST_F(WatchedFilesTest, NoticesRemovalAndWritingInPlace) {
  WatchedFiles files({Replace("a", "1")});

  std::ofstream(PathOf("a")) << "3";
  files.Changed();
  EXPECT_TRUE(files.Changed());
  std::filesystem::remove(PathOf("a"));
  files.Changed();
  EXPECT_TRUE(files.Changed());
}

TEST_F(WatchedFilesTest, FollowsTheLinkOfAFolderOfSecrets) {
  std::filesystem::create_directory(PathOf("one"));
  std::filesystem::create_directory(PathOf("two"));
  Replace("one/key", "1");
  Replace("two/key", "2");
  std::filesystem::create_directory_symlink("one", PathOf("data"));
  std::filesystem::create_symlink("data/key", PathOf("key"));
  WatchedFiles files({PathOf("key")});

  std::filesystem::create_directory_symlink("two", PathOf("next"));
  std::filesystem::rename(PathOf("next"), PathOf("data"));

  files.Changed();
  EXPECT_TRUE(files.Changed());
}

TEST_F(WatchedFilesTest, RefusesFilesThatOthersCanRead) {
  const std::string path = Replace("tokens", "{}");
  chmod(path.c_str(), 0644);

  EXPECT_TRUE(ReadSecretFile("tokens", path, false).ok());
  const absl::Status refused =
      ReadSecretFile("tokens", path, /*private_only=*/true).status();

  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr(absl::StrCat("tokens: ", path, ": mode 0644")));
  chmod(path.c_str(), 0640);
  EXPECT_TRUE(ReadSecretFile("tokens", path, true).ok());
  chmod(path.c_str(), 0660);
  EXPECT_THAT(
      std::string(ReadSecretFile("tokens", path, true).status().message()),
      HasSubstr("mode 0660 lets its group write it"));
}

TEST_F(WatchedFilesTest, DoesNotWaitForAFifo) {
  mkfifo(PathOf("fifo").c_str(), 0600);

  EXPECT_THAT(
      std::string(
          ReadSecretFile("tls_key", PathOf("fifo"), true).status().message()),
      HasSubstr("not a plain file"));
  EXPECT_EQ(ReadSecretFile("tls_key", PathOf("none"), true).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_FALSE(ReadSecretFile("tls_key", Replace("empty", ""), false).ok());
}

}  // namespace
}  // namespace actserve
