#include "server/config/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace actserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

MATCHER_P3(SettingIs, name, value, line, "") {
  return arg.name == name && arg.value == value && arg.line == line;
}

TEST(ConfigFile, ReadsNamesValuesAndLines) {
  const auto settings = ParseConfig(
      "# for the card\n"
      "device = cuda:0   # the first\n"
      "\n"
      "  listen=0.0.0.0:50051, [::1]:1\t\r\n"
      "\tunix_socket =\n"
      "pack = /a#b c",
      "f");

  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(*settings,
              ElementsAre(SettingIs("device", "cuda:0", 2),
                          SettingIs("listen", "0.0.0.0:50051, [::1]:1", 4),
                          SettingIs("unix_socket", "", 5),
                          SettingIs("pack", "/a#b c", 6)));
}

TEST(ConfigFile, TakesAFileOfNothing) {
  for (const char* text : {"", "\n\n", "# x", "   "}) {
    const auto settings = ParseConfig(text, "f");
    ASSERT_TRUE(settings.ok()) << settings.status();
    EXPECT_THAT(*settings, IsEmpty());
  }
}

TEST(ConfigFile, NamesThePlaceOfAnError) {
  struct Case {
    const char* text;
    const char* error;
  };
  const Case cases[] = {
      {"a = 1\nnonsense\n", "f:2: not of the form name = value"},
      {"= 1", "f:1: not of the form name = value"},
      {"[section]", "f:1: not of the form name = value"},
      {"--a = 1", "f:1: not of the form name = value"},
      {"a b = 1", "f:1: not of the form name = value"},
      {"a = 1\n\na = 2", "f:3: a is set already in line 1"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.text);
    const auto settings = ParseConfig(each.text, "f");
    EXPECT_EQ(settings.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(settings.status().message(), each.error);
  }
}

// Any bytes: an error or settings, never more.
TEST(ConfigFile, TakesHostileBytes) {
  constexpr absl::string_view kSome("a= \n#\0\r\xff\t[\"b", 12);
  std::string bytes;
  for (int seed = 0; seed < 2000; ++seed) {
    bytes.clear();
    uint32_t state = seed;
    for (int i = 0; i < 40; ++i) {
      state = state * 1664525 + 1013904223;
      bytes += kSome[(state >> 24) % kSome.size()];
    }
    const auto settings = ParseConfig(bytes, "f");
    if (!settings.ok()) continue;
    for (const Setting& setting : *settings) EXPECT_FALSE(setting.name.empty());
  }
}

TEST(ConfigFile, ReadsPlainFilesOnly) {
  std::string folder = ::testing::TempDir() + "/config_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string fifo = folder + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  std::ofstream(folder + "/large") << std::string((1 << 20) + 1, '\n');
  std::ofstream(folder + "/good") << "a = b\n";

  for (const std::string& path :
       {folder, fifo, folder + "/large", folder + "/missing"}) {
    const auto settings = ReadConfig(path);
    EXPECT_EQ(settings.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(settings.status().message(),
                HasSubstr(absl::StrCat("config: cannot read ", path, ": ")));
  }
  const auto good = ReadConfig(folder + "/good");
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_THAT(*good, ElementsAre(SettingIs("a", "b", 1)));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace actserve
