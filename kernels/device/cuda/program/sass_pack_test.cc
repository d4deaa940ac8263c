#include "kernels/device/cuda/program/sass_pack.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What the format says, in words of the test's own.
constexpr size_t kFormatAt = 8;
constexpr size_t kTextsAt = 32;
constexpr size_t kDigestAt = 64;
constexpr size_t kHeaderBytes = 96;
constexpr size_t kEntryBytes = 88;

class SassPackTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/sass_pack_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/pack";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static std::vector<SassPack::Code> SomeCodes() {
    std::vector<SassPack::Code> codes;
    for (const int architecture : {90, 80}) {
      for (const int program : {1, 2, 3}) {
        codes.push_back({Key(program, architecture), architecture,
                         Cubin(program, architecture)});
      }
    }
    return codes;
  }
  static std::string Key(int program, int architecture) {
    return SassKey(absl::StrCat("program ", program), architecture);
  }
  // Beyond what one block of a compressor holds.
  static std::string Cubin(int program, int architecture) {
    std::string cubin = absl::StrCat("code ", program, " ", architecture);
    for (unsigned i = 0; i < 100'000; ++i) {
      cubin.push_back(static_cast<char>(i * i * program >> 7));
    }
    return cubin;
  }
  void WriteSome() {
    const absl::Status status = SassPack::Write(path_, "13.0", SomeCodes());
    ASSERT_TRUE(status.ok()) << status;
  }
  std::string Read() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void Replace(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary) << bytes;
  }

  std::string folder_;
  std::string path_;
};

TEST_F(SassPackTest, HasWhatWasWritten) {
  WriteSome();

  const auto pack = SassPack::Open(path_);

  ASSERT_TRUE(pack.ok()) << pack.status();
  EXPECT_EQ((*pack)->nvrtc_version(), "13.0");
  EXPECT_THAT((*pack)->architectures(), ElementsAre(80, 90));
  EXPECT_EQ((*pack)->num_parts(80), 3);
  for (const SassPack::Code& code : SomeCodes()) {
    const auto found = (*pack)->Find(code.key);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(*found, code.cubin);
  }
}

TEST_F(SassPackTest, SaysWhatItHasNot) {
  WriteSome();
  const auto pack = *SassPack::Open(path_);

  EXPECT_EQ(pack->num_parts(86), 0);
  for (const std::string& key :
       {Key(4, 80), Key(1, 86), std::string(), std::string(64, 'g')}) {
    EXPECT_EQ(pack->Find(key).status().code(), absl::StatusCode::kNotFound);
  }
}

TEST_F(SassPackTest, MayBeEmpty) {
  ASSERT_TRUE(SassPack::Write(path_, "13.0", {}).ok());

  const auto pack = SassPack::Open(path_);

  ASSERT_TRUE(pack.ok()) << pack.status();
  EXPECT_THAT((*pack)->architectures(), IsEmpty());
}

TEST_F(SassPackTest, HasEachProgramOnce) {
  const std::string key = Key(1, 90);
  ASSERT_TRUE(
      SassPack::Write(path_, "13.0", {{key, 90, "a"}, {key, 90, "b"}}).ok());

  const auto pack = *SassPack::Open(path_);

  EXPECT_EQ(pack->num_parts(90), 1);
  EXPECT_EQ(pack->KeyOfOne(90), key);
  EXPECT_EQ(*pack->Find(key), "a");
}

TEST_F(SassPackTest, IsTheSameFromTheSameCode) {
  WriteSome();
  const std::string first = Read();
  WriteSome();

  EXPECT_EQ(Read(), first);
}

TEST_F(SassPackTest, IsCompleteOrAsItWas) {
  WriteSome();
  const std::string before = Read();

  EXPECT_EQ(SassPack::Write(path_, "13.0", {{"no key", 90, ""}}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(SassPack::Write(path_, "", {}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(SassPack::Write(folder_ + "/none/pack", "13.0", {}).code(),
            absl::StatusCode::kInternal);

  EXPECT_EQ(Read(), before);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(SassPackTest, OutlivesItsFile) {
  WriteSome();
  const auto pack = *SassPack::Open(path_);

  ASSERT_TRUE(SassPack::Write(path_, "12.9", {}).ok());

  EXPECT_EQ(*pack->Find(Key(1, 90)), Cubin(1, 90));
}

struct Spoilt {
  const char* name;
  absl::StatusCode code;
  const char* message;
  void (*spoil)(std::string& bytes);
};

TEST_F(SassPackTest, RefusesWhatIsNotAPackOfThisProgram) {
  const Spoilt kCases[] = {
      {"an empty file", absl::StatusCode::kFailedPrecondition,
       "not a pack of compiled programs", [](auto& b) { b.clear(); }},
      {"a text", absl::StatusCode::kFailedPrecondition,
       "not a pack of compiled programs",
       [](auto& b) { b = std::string(1000, '#'); }},
      {"a part of the header", absl::StatusCode::kFailedPrecondition,
       "not a pack of compiled programs",
       [](auto& b) { b.resize(kHeaderBytes - 1); }},
      {"another format", absl::StatusCode::kFailedPrecondition,
       "a pack of format 2, this program reads 1",
       [](auto& b) { b[kFormatAt] = 2; }},
      {"the header alone", absl::StatusCode::kDataLoss,
       "it is shorter than its index", [](auto& b) { b.resize(kHeaderBytes); }},
      {"a part of the index", absl::StatusCode::kDataLoss,
       "it is shorter than its index",
       [](auto& b) { b.resize(kHeaderBytes + 2 * kEntryBytes); }},
      {"a number of entries beyond the file", absl::StatusCode::kDataLoss,
       "it is shorter than its index",
       [](auto& b) { b.replace(kFormatAt + 4, 4, "\xff\xff\xff\xff"); }},
      {"fewer entries", absl::StatusCode::kDataLoss,
       "its index is not what was written",
       [](auto& b) { b[kFormatAt + 4] = 1; }},
      {"other texts, unsigned", absl::StatusCode::kDataLoss,
       "its index is not what was written", [](auto& b) { b[kTextsAt] ^= 1; }},
      {"a bit of the index", absl::StatusCode::kDataLoss,
       "its index is not what was written",
       [](auto& b) { b[kHeaderBytes + kEntryBytes + 40] ^= 1; }},
      {"the last byte is gone", absl::StatusCode::kDataLoss,
       "it is shorter than its code", [](auto& b) { b.pop_back(); }},
  };
  WriteSome();
  const std::string sound = Read();
  for (const Spoilt& test : kCases) {
    SCOPED_TRACE(test.name);
    std::string bytes = sound;
    test.spoil(bytes);
    Replace(bytes);

    const absl::Status status = SassPack::Open(path_).status();

    EXPECT_EQ(status.code(), test.code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.message));
    EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
  }
}

// Sound, but made by another version of this program.
TEST_F(SassPackTest, RefusesWhatWasCompiledFromOtherTexts) {
  WriteSome();
  std::string bytes = Read();
  const size_t index_end = kHeaderBytes + 6 * kEntryBytes;
  bytes[kTextsAt] ^= 1;
  bytes.replace(kDigestAt, SHA256_DIGEST_LENGTH,
                std::string(SHA256_DIGEST_LENGTH, '\0'));
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), index_end,
         digest);
  bytes.replace(kDigestAt, sizeof(digest),
                reinterpret_cast<const char*>(digest), sizeof(digest));
  Replace(bytes);

  const absl::Status status = SassPack::Open(path_).status();

  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(std::string(status.message()),
            path_ + ": compiled for another version of this program");
}

// Wherever a bit is flipped, the pack is refused or the code is, and no other
// code is taken for it.
TEST_F(SassPackTest, NoticesAnyFlippedBit) {
  WriteSome();
  const std::string sound = Read();
  const size_t index_end = kHeaderBytes + 6 * kEntryBytes;
  for (size_t at = 0; at < sound.size();
       at += at < index_end ? 1 : sound.size() / 50) {
    SCOPED_TRACE(at);
    std::string bytes = sound;
    bytes[at] ^= static_cast<char>(1 << at % 8);
    Replace(bytes);

    const auto pack = SassPack::Open(path_);

    EXPECT_EQ(pack.ok(), at >= index_end);
    if (!pack.ok()) continue;
    int num_damaged = 0;
    for (const SassPack::Code& code : SomeCodes()) {
      const auto found = (*pack)->Find(code.key);
      if (found.ok()) {
        EXPECT_EQ(*found, code.cubin);
      } else {
        EXPECT_EQ(found.status().code(), absl::StatusCode::kDataLoss);
        ++num_damaged;
      }
    }
    EXPECT_EQ(num_damaged, 1);
  }
}

TEST_F(SassPackTest, ThatIsCutShortWhileOpenIsDamaged) {
  WriteSome();
  const auto pack = *SassPack::Open(path_);
  std::filesystem::resize_file(path_, kHeaderBytes);

  EXPECT_EQ(pack->Find(Key(1, 90)).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(SassPackTest, RefusesWhatOthersMayWrite) {
  WriteSome();
  EXPECT_EQ(chmod(path_.c_str(), 0664), 0);

  const absl::Status status = SassPack::Open(path_).status();

  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("may write to it"));
}

TEST_F(SassPackTest, SaysThatThereIsNone) {
  EXPECT_EQ(SassPack::Open(path_).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(SassPack::Open(folder_).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(SassPackTest, DoesNotWaitForAFifo) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);

  EXPECT_EQ(SassPack::Open(path_).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(SassKey, IsOfTextAndArchitecture) {
  EXPECT_EQ(SassKey("text", 90).size(), 64);
  EXPECT_NE(SassKey("text", 90), SassKey("text", 80));
  EXPECT_NE(SassKey("text", 90), SassKey("text ", 90));
}

}  // namespace
}  // namespace actserve
