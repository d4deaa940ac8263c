#include "kernels/device/object_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace actserve {
namespace {

class ObjectCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/object_cache_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    parent_ = pattern;
    path_ = parent_ + "/cache";
  }
  void TearDown() override { std::filesystem::remove_all(parent_); }

  std::unique_ptr<ObjectCache> Open(int64_t max_size_bytes = 1 << 20) {
    auto cache = ObjectCache::Open(path_, max_size_bytes);
    EXPECT_TRUE(cache.ok()) << cache.status();
    return *std::move(cache);
  }
  std::string OnlyFile() const {
    std::string found;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      EXPECT_EQ(found, "");
      found = entry.path();
    }
    return found;
  }

  std::string parent_;
  std::string path_;
};

TEST_F(ObjectCacheTest, FindsWhatAnEarlierProcessStored) {
  Open()->Store("ab12", "object");

  EXPECT_EQ(Open()->Load("ab12"), "object");
  EXPECT_EQ(Open()->Load("ab13"), std::nullopt);
}

TEST_F(ObjectCacheTest, IsClosedToOthers) {
  Open()->Store("ab12", "object");

  EXPECT_EQ(std::filesystem::status(path_).permissions(),
            std::filesystem::perms::owner_all);
  EXPECT_EQ(
      std::filesystem::status(OnlyFile()).permissions(),
      std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(ObjectCacheTest, RefusesADirectoryThatOthersMayEnter) {
  ASSERT_EQ(mkdir(path_.c_str(), 0700), 0);
  ASSERT_EQ(chmod(path_.c_str(), 0755), 0);

  EXPECT_EQ(ObjectCache::Open(path_, 1 << 20).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(ObjectCacheTest, RefusesADirectoryOfAnotherUser) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  ASSERT_EQ(mkdir(path_.c_str(), 0700), 0);
  ASSERT_EQ(chown(path_.c_str(), 12345, 12345), 0);

  EXPECT_EQ(ObjectCache::Open(path_, 1 << 20).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(ObjectCacheTest, RefusesALinkAndAFile) {
  ASSERT_EQ(mkdir((parent_ + "/elsewhere").c_str(), 0700), 0);
  ASSERT_EQ(symlink((parent_ + "/elsewhere").c_str(), path_.c_str()), 0);
  EXPECT_EQ(ObjectCache::Open(path_, 1 << 20).status().code(),
            absl::StatusCode::kFailedPrecondition);

  ASSERT_EQ(unlink(path_.c_str()), 0);
  std::ofstream(path_) << "not a directory";
  EXPECT_EQ(ObjectCache::Open(path_, 1 << 20).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(ObjectCacheTest, RefusesADirectoryWithoutParent) {
  EXPECT_EQ(ObjectCache::Open(parent_ + "/a/b", 1 << 20).status().code(),
            absl::StatusCode::kInternal);
}

TEST_F(ObjectCacheTest, RemovesADamagedFile) {
  const std::string object(1000, 'x');
  for (int64_t damaged : {0, 9, 20, 60, 1000}) {
    SCOPED_TRACE(damaged);
    Open()->Store("ab12", object);
    std::fstream file(OnlyFile());
    file.seekp(damaged);
    file.put('!');
    file.close();

    EXPECT_EQ(Open()->Load("ab12"), std::nullopt);
    EXPECT_EQ(OnlyFile(), "");
  }
}

TEST_F(ObjectCacheTest, RemovesATruncatedFile) {
  for (int64_t size_bytes : {0, 10, 48, 500}) {
    SCOPED_TRACE(size_bytes);
    Open()->Store("ab12", std::string(1000, 'x'));
    std::filesystem::resize_file(OnlyFile(), size_bytes);

    EXPECT_EQ(Open()->Load("ab12"), std::nullopt);
  }
}

TEST_F(ObjectCacheTest, DoesNotReadAFileThatOthersMayWrite) {
  Open()->Store("ab12", "object");
  ASSERT_EQ(chmod(OnlyFile().c_str(), 0666), 0);

  EXPECT_EQ(Open()->Load("ab12"), std::nullopt);
}

// Opening it once waited for a writer, on the compile thread.
TEST_F(ObjectCacheTest, RemovesAFifo) {
  auto cache = Open();
  ASSERT_EQ(mkfifo((path_ + "/ab12.o").c_str(), 0600), 0);

  EXPECT_EQ(cache->Load("ab12"), std::nullopt);

  EXPECT_EQ(OnlyFile(), "");
}

TEST_F(ObjectCacheTest, RemovesWhatAKilledProcessLeft) {
  Open();
  const std::string old_file = path_ + "/ab12.1.0.tmp";
  const std::string new_file = path_ + "/ab12.1.1.tmp";
  for (const std::string& name : {old_file, new_file}) {
    std::ofstream(name) << "half";
  }
  const time_t hour_ago = time(nullptr) - 3600;
  const timespec times[2] = {{.tv_sec = hour_ago, .tv_nsec = 0},
                             {.tv_sec = hour_ago, .tv_nsec = 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, old_file.c_str(), times, 0), 0);

  Open();

  EXPECT_EQ(OnlyFile(), new_file);
}

TEST_F(ObjectCacheTest, CountsWhatIsNotWholeYet) {
  auto cache = Open(10'000);
  const std::string half = path_ + "/ab12.1.0.tmp";
  std::ofstream(half) << std::string(9000, 'x');
  const timespec times[2] = {{.tv_sec = 1, .tv_nsec = 0},
                             {.tv_sec = 1, .tv_nsec = 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, half.c_str(), times, 0), 0);

  cache->Store("a1", std::string(3000, 'x'));

  EXPECT_EQ(OnlyFile(), path_ + "/a1.o");
}

TEST_F(ObjectCacheTest, DropsWhatWasUsedLongestAgo) {
  auto cache = Open(10'000);
  const auto age = [&](const char* key, int seconds) {
    const timespec times[2] = {{.tv_sec = 1'000'000 - seconds, .tv_nsec = 0},
                               {.tv_sec = 1'000'000 - seconds, .tv_nsec = 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, (path_ + "/" + key + ".o").c_str(), times, 0),
              0);
  };
  for (const char* key : {"a1", "a2", "a3"}) {
    cache->Store(key, std::string(3000, 'x'));
  }
  age("a1", 20);
  age("a2", 30);
  age("a3", 10);

  cache->Store("a4", std::string(3000, 'x'));

  EXPECT_EQ(cache->Load("a1"), std::nullopt);
  EXPECT_EQ(cache->Load("a2"), std::nullopt);
  EXPECT_NE(cache->Load("a3"), std::nullopt);
  EXPECT_NE(cache->Load("a4"), std::nullopt);
}

TEST_F(ObjectCacheTest, IsWholeUnderConcurrentWriters) {
  auto one = Open();
  auto two = Open();
  std::vector<std::thread> threads;
  for (ObjectCache* cache : {one.get(), two.get(), one.get(), two.get()}) {
    threads.emplace_back([cache] {
      for (int round = 0; round < 50; ++round) {
        cache->Store("ab12", std::string(5000, 'x'));
        EXPECT_EQ(cache->Load("ab12"), std::string(5000, 'x'));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_NE(OnlyFile(), "");
}

}  // namespace
}  // namespace actserve
