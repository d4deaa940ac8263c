#include "server/config/flag_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

ABSL_FLAG(int, test_count, 1, "");
ABSL_FLAG(absl::Duration, test_delay, absl::Seconds(1), "");
ABSL_FLAG(std::vector<std::string>, test_listen, {}, "");
ABSL_FLAG(bool, test_on, false, "");
ABSL_FLAG(std::string, config, "", "");
ABSL_FLAG(bool, check, false, "");

namespace actserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FlagValuesTest : public ::testing::Test {
 protected:
  FlagValuesTest() {
    folder_ = ::testing::TempDir() + "/flags_XXXXXX";
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/actserved.conf";
  }
  ~FlagValuesTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& text) const { std::ofstream(path_) << text; }

  static absl::StatusOr<FlagValues> Load(std::vector<std::string> arguments,
                                         std::vector<std::string> variables) {
    std::vector<char*> argv;
    static char program[] = "program";
    argv.push_back(program);
    for (std::string& argument : arguments) argv.push_back(argument.data());
    std::vector<const char*> environment;
    for (std::string& each : variables) environment.push_back(each.c_str());
    environment.push_back(nullptr);
    const int argc = static_cast<int>(argv.size());
    argv.push_back(nullptr);
    return FlagValues::Load(argc, argv.data(), environment.data(),
                            "config/flag_values_test.cc");
  }

  absl::FlagSaver saver_;
  std::string folder_;
  std::string path_;
};

// Every set of places that set a flag, against a list of them by precedence.
TEST_F(FlagValuesTest, CommandLineWinsThenEnvironmentThenFile) {
  for (int places = 0; places < 8; ++places) {
    SCOPED_TRACE(places);
    const absl::FlagSaver saver;
    const bool by_line = places & 4;
    const bool by_variable = places & 2;
    const bool by_file = places & 1;
    Write(by_file ? "# one\ntest_count = 13\n" : "");
    std::vector<std::string> arguments = {absl::StrCat("--config=", path_)};
    if (by_line) arguments.push_back("--test_count=11");
    std::vector<std::string> variables;
    if (by_variable) variables.push_back("ACTSERVE_TEST_COUNT=12");

    const auto values = Load(arguments, variables);

    ASSERT_TRUE(values.ok()) << values.status();
    const std::string file = absl::StrCat(path_, ":2");
    EXPECT_EQ(absl::GetFlag(FLAGS_test_count), by_line       ? 11
                                               : by_variable ? 12
                                               : by_file     ? 13
                                                             : 1);
    EXPECT_EQ(values->SourceOf("test_count"), by_line ? "command line"
                                              : by_variable
                                                  ? "ACTSERVE_TEST_COUNT"
                                              : by_file ? file
                                                        : "default");
  }
}

TEST_F(FlagValuesTest, TakesEveryFormOfArgument) {
  Write("test_listen = a:1,b:2\n");

  const auto values =
      Load({"--test_delay", "2s", "-notest_on", "--config", path_}, {});

  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_EQ(absl::GetFlag(FLAGS_test_delay), absl::Seconds(2));
  EXPECT_THAT(absl::GetFlag(FLAGS_test_listen), ElementsAre("a:1", "b:2"));
  EXPECT_EQ(values->SourceOf("test_delay"), "command line");
  EXPECT_EQ(values->SourceOf("test_on"), "command line");
}

TEST_F(FlagValuesTest, FindsTheFileByTheEnvironment) {
  Write("test_count = 5\n");

  ASSERT_TRUE(Load({}, {absl::StrCat("ACTSERVE_CONFIG=", path_)}).ok());

  EXPECT_EQ(absl::GetFlag(FLAGS_test_count), 5);
}

TEST_F(FlagValuesTest, NamesThePlaceOfAWrongValue) {
  Write("\ntest_delay = 5\n");
  EXPECT_THAT(Load({absl::StrCat("--config=", path_)}, {}).status().message(),
              HasSubstr(absl::StrCat(path_, ":2: test_delay: 5: ")));
  EXPECT_THAT(Load({}, {"ACTSERVE_TEST_COUNT=x"}).status().message(),
              HasSubstr("ACTSERVE_TEST_COUNT: test_count: x: "));
}

TEST_F(FlagValuesTest, RefusesUnknownNamesInAFile) {
  Write("test_count = 2\ntest_cuont = 3\n");
  EXPECT_EQ(
      Load({absl::StrCat("--config=", path_)}, {}).status().message(),
      absl::StrCat(path_, ":2: no flag is called test_cuont; see --help"));
  // Flags of the libraries are none of the program's.
  Write("stderrthreshold = 3\n");
  EXPECT_FALSE(Load({absl::StrCat("--config=", path_)}, {}).ok());
  Write("check = true\n");
  EXPECT_THAT(Load({absl::StrCat("--config=", path_)}, {}).status().message(),
              HasSubstr(":1: check cannot be set in a file"));
}

TEST_F(FlagValuesTest, RefusesNearMissesInTheEnvironment) {
  for (const char* variable : {"ACTSERVE_TEST_CUONT=1", "ACTSERVE_TESTCOUNT=1",
                               "ACTSERVE_test_count=1",
                               "ACTSERVE_TEST_COUNTS=", "ACTSERVE_CHECKS=1"}) {
    const auto values = Load({}, {variable});
    EXPECT_EQ(values.status().code(), absl::StatusCode::kInvalidArgument)
        << variable;
  }
  EXPECT_EQ(Load({}, {"ACTSERVE_TEST_CUONT=1"}).status().message(),
            "ACTSERVE_TEST_CUONT: no flag has this variable; "
            "ACTSERVE_TEST_COUNT is --test_count");
}

TEST_F(FlagValuesTest, LeavesOtherVariablesAlone) {
  const auto values =
      Load({}, {"ACTSERVE_ADDRESS=h:1", "ACTSERVE_VENV=/x", "PATH=/bin",
                "ACTSERVE_TLS_CA=/ca.pem", "ACTSERVE_TOKEN_FILE=/token",
                "ACTSERVE_SERVICE_HOST=10.0.0.1", "ACTSERVE_PORT=tcp://x",
                "ACTSERVE_PORT_50051_TCP_ADDR=x", "ACTSERVE_OF_ELSE=secret",
                "ACTSERVE_TEST_ON=true"});

  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_THAT(values->unknown_variables(), ElementsAre("ACTSERVE_OF_ELSE"));
  EXPECT_TRUE(absl::GetFlag(FLAGS_test_on));
}

TEST_F(FlagValuesTest, LocatesAnErrorOfAFlag) {
  Write("test_count = 77\n");
  const auto values =
      Load({absl::StrCat("--config=", path_), "--test_delay=9s"},
           {"ACTSERVE_TEST_ON=1"});
  ASSERT_TRUE(values.ok()) << values.status();
  const auto located = [&](const char* message) {
    return std::string(
        values->Locate(absl::InvalidArgumentError(message)).message());
  };

  EXPECT_EQ(located("test_count: 77 is not in 1 .. 2"),
            absl::StrCat(path_, ":1: test_count: 77 is not in 1 .. 2"));
  EXPECT_EQ(located("test_on: no"), "ACTSERVE_TEST_ON: test_on: no");
  EXPECT_EQ(located("test_delay: 9s"), "test_delay: 9s");
  EXPECT_EQ(located("something else"), "something else");
  EXPECT_TRUE(values->Locate(absl::OkStatus()).ok());
}

// What is printed sets the same values again, and says so of each.
TEST_F(FlagValuesTest, PrintsAFileThatMeansTheSame) {
  const auto first = Load({"--test_listen=a:1,b:2", "--test_delay=90s"},
                          {"ACTSERVE_TEST_COUNT=4"});
  ASSERT_TRUE(first.ok()) << first.status();
  const std::string text = first->ToText();
  EXPECT_EQ(text,
            "test_count = 4  # ACTSERVE_TEST_COUNT\n"
            "test_delay = 1m30s  # command line\n"
            "test_listen = a:1,b:2  # command line\n"
            "test_on = false  # default\n");
  Write(text);
  absl::SetFlag(&FLAGS_test_count, 0);

  ASSERT_TRUE(Load({absl::StrCat("--config=", path_)}, {}).ok());

  EXPECT_EQ(absl::GetFlag(FLAGS_test_count), 4);
  EXPECT_EQ(absl::GetFlag(FLAGS_test_delay), absl::Seconds(90));
  EXPECT_THAT(absl::GetFlag(FLAGS_test_listen), ElementsAre("a:1", "b:2"));
}

}  // namespace
}  // namespace actserve
