// Shared memory that clients register by name: whose it is, and that no name,
// place or size reaches anything else.

#include "server/kserve/regions.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace actserve::kserve {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

// Shared memory of a client.
class ClientMemory {
 public:
  explicit ClientMemory(const std::string& bytes)
      : key_(absl::StrCat("/regions_test_", getpid())),
        file_(shm_open(key_.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600)) {
    EXPECT_GE(file_, 0);
    Write(bytes);
  }
  ~ClientMemory() {
    close(file_);
    shm_unlink(key_.c_str());
  }
  const std::string& key() const { return key_; }
  void Write(const std::string& bytes) const {
    EXPECT_EQ(pwrite(file_, bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
  }
  void Shrink(int64_t size_bytes) const {
    EXPECT_EQ(ftruncate(file_, size_bytes), 0);
  }
  std::string Read() const {
    std::string bytes(lseek(file_, 0, SEEK_END), '\0');
    EXPECT_EQ(pread(file_, bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
    return bytes;
  }

 private:
  const std::string key_;
  const int file_;
};

inference::SystemSharedMemoryRegisterRequest RequestOf(const std::string& name,
                                                       const std::string& key,
                                                       uint64_t offset,
                                                       uint64_t size_bytes) {
  inference::SystemSharedMemoryRegisterRequest request;
  request.set_name(name);
  request.set_key(key);
  request.set_offset(offset);
  request.set_byte_size(size_bytes);
  return request;
}

absl::Span<std::byte> SpanOf(std::string& bytes) {
  return {reinterpret_cast<std::byte*>(bytes.data()), bytes.size()};
}

const CallerId kAlice = {.peer = 1};
const CallerId kBob = {.peer = 2};

TEST(Regions, AreReadAndWrittenWhereTheyLie) {
  const ClientMemory memory("0123456789");
  Regions regions;
  // As C++ clients write the key, and as Python's do.
  ASSERT_TRUE(
      regions.Register(kAlice, RequestOf("r", memory.key(), 2, 6)).ok());
  ASSERT_TRUE(
      regions.Register(kAlice, RequestOf("s", memory.key().substr(1), 0, 10))
          .ok());

  std::string bytes(3, '\0');
  EXPECT_TRUE(regions.Read(kAlice, {"r", 1, 3}, "x", SpanOf(bytes)).ok());
  EXPECT_EQ(bytes, "345");
  bytes = "ab";
  EXPECT_TRUE(regions.Write(kAlice, {"r", 4, 2}, "y", SpanOf(bytes)).ok());
  EXPECT_EQ(memory.Read(), "012345ab89");
  EXPECT_EQ(regions.Status(kAlice, "r")->regions().at("r").byte_size(), 6);
  EXPECT_EQ(regions.Status(kAlice, "")->regions_size(), 2);
}

TEST(Regions, BelongToTheirPeer) {
  const ClientMemory memory("0123456789");
  Regions regions;
  ASSERT_TRUE(
      regions.Register(kAlice, RequestOf("r", memory.key(), 0, 10)).ok());

  EXPECT_THAT(std::string(regions.Check(kBob, {"r", 0, 1}, "x").message()),
              HasSubstr("Unable to find"));
  EXPECT_EQ(regions.Status(kBob, "")->regions_size(), 0);
  EXPECT_EQ(regions.Status(kBob, "r").status().code(),
            absl::StatusCode::kNotFound);
  regions.Unregister(kBob, "");
  EXPECT_TRUE(regions.Check(kAlice, {"r", 0, 1}, "x").ok());
  // Each may use the name.
  EXPECT_TRUE(regions.Register(kBob, RequestOf("r", memory.key(), 0, 10)).ok());
  EXPECT_EQ(regions.Register(kBob, RequestOf("r", memory.key(), 0, 10)).code(),
            absl::StatusCode::kAlreadyExists);
  regions.Unregister(kAlice, "r");
  EXPECT_FALSE(regions.Check(kAlice, {"r", 0, 1}, "x").ok());
}

TEST(Regions, RefuseOtherPlaces) {
  const ClientMemory memory("0123456789");
  Regions regions;
  struct Case {
    std::string name;
    std::string key;
    uint64_t offset = 0;
    uint64_t size_bytes = 10;
  };
  const std::string& key = memory.key();
  const std::vector<Case> cases = {
      {"", key},
      {"a/b", key},
      {"a\nb", key},
      {std::string(129, 'n'), key},
      {"r", ""},
      {"r", "/"},
      {"r", "//x"},
      {"r", ".."},
      {"r", "/../../etc/passwd"},
      {"r", "/etc/passwd"},
      {"r", std::string("a\0b", 3)},
      {"r", "/actserve_secret"},
      {"r", "sem.other"},
      {"r", "/no_such_memory_is_here"},
      {"r", key, 0, 0},
      {"r", key, 0, 11},
      {"r", key, 1, 10},
      {"r", key, 11, 1},
      {"r", key, kMax, 2},
      {"r", key, 2, kMax},
      {"r", key, kMax, kMax},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(absl::StrCat(each.name, " ", each.key, " ", each.offset, " ",
                              each.size_bytes));
    const absl::Status status = regions.Register(
        kAlice, RequestOf(each.name, each.key, each.offset, each.size_bytes));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    if (each.key.size() > 3) {
      EXPECT_THAT(std::string(status.message()), Not(HasSubstr(each.key)));
    }
  }
  EXPECT_EQ(regions.Status(kAlice, "")->regions_size(), 0);
}

TEST(Regions, RangesStayWithinTheRegion) {
  const ClientMemory memory("0123456789");
  Regions regions;
  ASSERT_TRUE(
      regions.Register(kAlice, RequestOf("r", memory.key(), 2, 4)).ok());

  EXPECT_TRUE(regions.Check(kAlice, {"r", 0, 4}, "x").ok());
  EXPECT_TRUE(regions.Check(kAlice, {"r", 4, 0}, "x").ok());
  for (const auto& [offset, size] : std::vector<std::pair<uint64_t, uint64_t>>{
           {0, 5}, {1, 4}, {5, 0}, {kMax, 1}, {1, kMax}, {kMax, kMax}}) {
    EXPECT_FALSE(regions.Check(kAlice, {"r", offset, size}, "x").ok())
        << offset << " " << size;
  }
  std::string bytes = "abcd";
  EXPECT_THAT(
      std::string(
          regions.Write(kAlice, {"r", 0, 3}, "y", SpanOf(bytes)).message()),
      HasSubstr("should be at least 4 bytes"));
  EXPECT_EQ(memory.Read(), "0123456789");
}

// A mapping would end the process here.
TEST(Regions, ClientMayShrinkItsMemory) {
  const ClientMemory memory("0123456789");
  Regions regions;
  ASSERT_TRUE(
      regions.Register(kAlice, RequestOf("r", memory.key(), 0, 10)).ok());
  memory.Shrink(4);

  std::string bytes(10, '\0');
  EXPECT_THAT(
      std::string(
          regions.Read(kAlice, {"r", 0, 10}, "x", SpanOf(bytes)).message()),
      HasSubstr("has become smaller"));
  EXPECT_THAT(
      std::string(
          regions.Write(kAlice, {"r", 0, 10}, "y", SpanOf(bytes)).message()),
      HasSubstr("has become smaller"));
  EXPECT_EQ(memory.Read(), "0123");
}

TEST(Regions, AreBounded) {
  const ClientMemory memory("0123456789");
  Regions regions;
  for (size_t i = 0; i < Regions::kMaxRegionsOfPeer; ++i) {
    ASSERT_TRUE(regions
                    .Register(kAlice, RequestOf(absl::StrCat("r", i),
                                                memory.key(), 0, 10))
                    .ok());
  }
  EXPECT_EQ(
      regions.Register(kAlice, RequestOf("one", memory.key(), 0, 10)).code(),
      absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(
      regions.Register(kBob, RequestOf("one", memory.key(), 0, 10)).ok());
  regions.Unregister(kAlice, "");
  EXPECT_TRUE(
      regions.Register(kAlice, RequestOf("one", memory.key(), 0, 10)).ok());
}

}  // namespace
}  // namespace actserve::kserve
