#include "server/observe/log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace actserve {
namespace {

TEST(Log, WritesOneJsonObject) {
  const auto line = nlohmann::json::parse(
      FormatEvent(LogLevel::kWarning, "slow",
                  {{"micros", int64_t{12}}, {"ratio", 0.5}, {"who", "me"}}));

  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["event"], "slow");
  EXPECT_EQ(line["micros"], 12);
  EXPECT_EQ(line["ratio"], 0.5);
  EXPECT_EQ(line["who"], "me");
  EXPECT_EQ(line["time"].get<std::string>().size(),
            std::string("2026-01-01T00:00:00.000000Z").size());
}

TEST(Log, NothingFromAClientEndsTheLineOrTheString) {
  const std::string hostile = "a\"},\n{\"event\":\"forged\r\x1b[31m\x7f";

  const std::string line =
      FormatEvent(LogLevel::kInfo, "request", {{"error", hostile}});

  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find('\r'), std::string::npos);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(line)["error"], hostile);
}

TEST(Log, ReplacesWhatIsNotUtf8) {
  const std::string line =
      FormatEvent(LogLevel::kInfo, "request", {{"error", "\xff\xfe ok"}});

  EXPECT_EQ(nlohmann::json::parse(line)["error"],
            "\xef\xbf\xbd\xef\xbf\xbd ok");
}

TEST(Log, RefusesALevelThatIsNone) {
  EXPECT_EQ(SetLogLevel("loud").message(),
            "log_level: loud is none of debug, info, warning, error");
}

TEST(Log, FollowsItsLevel) {
  ASSERT_TRUE(SetLogLevel("warning").ok());
  EXPECT_FALSE(IsLogged(LogLevel::kInfo));
  EXPECT_TRUE(IsLogged(LogLevel::kError));
  ASSERT_TRUE(SetLogLevel("info").ok());
}

}  // namespace
}  // namespace actserve
