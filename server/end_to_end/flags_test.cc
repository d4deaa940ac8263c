// Every flag of actserved that is a number or a duration has a range, and every
// limit is in docs/limits.md.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "server/testing/server_process.h"

namespace actserve::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// All that actserved says with these arguments and these variables
// ("NAME=value ..."). It is not to start. `code` gets its exit code.
std::string Ask(const std::string& arguments, const std::string& variables = "",
                int* code = nullptr) {
  const std::string command = absl::StrCat(
      "env ", variables, " timeout 20 ", BinaryOfBuild(ACTSERVED_BINARY),
      " --device=cpu --listen=127.0.0.1:0 --unix_socket= "
      "--cache_directory=none --max_memory_bytes=1000000000000 ",
      arguments, " 2>&1");
  std::FILE* const pipe = popen(command.c_str(), "r");
  std::string output;
  char bytes[4096];
  while (const size_t count = std::fread(bytes, 1, sizeof(bytes), pipe)) {
    output.append(bytes, count);
  }
  const int status = pclose(pipe);
  if (code != nullptr) *code = WEXITSTATUS(status);
  return output;
}

struct Flag {
  std::string name;
  std::string value;
};

// The flags with their defaults, as --help shows them.
std::vector<Flag> Flags() {
  std::vector<Flag> flags;
  const std::string help = Ask("--help");
  for (absl::string_view line : absl::StrSplit(help, '\n')) {
    line = absl::StripLeadingAsciiWhitespace(line);
    // Other lines may begin with the name of a flag too.
    if (absl::StrContains(line, " (") && absl::ConsumePrefix(&line, "--")) {
      flags.push_back({std::string(line.substr(0, line.find(' '))), ""});
    }
    const size_t start = line.rfind("default: ");
    if (start == absl::string_view::npos || flags.empty()) continue;
    absl::string_view value = line.substr(start + 9);
    flags.back().value = std::string(value.substr(0, value.find(';')));
  }
  return flags;
}

bool IsNumber(const std::string& value) {
  int64_t number = 0;
  return absl::SimpleAtoi(value, &number);
}

bool IsDuration(const std::string& value) {
  absl::Duration duration;
  return absl::ParseDuration(value, &duration);
}

// A duration of 0 is shown like a number.
bool IsShownAsNumber(const Flag& flag) {
  return flag.value == "0" &&
         (absl::EndsWith(flag.name, "_delay") ||
          absl::EndsWith(flag.name, "_age") || flag.name == "slow_request");
}

// The smallest and the largest value, of "flag: -2 is not in 0 .. 1024".
std::pair<std::string, std::string> RangeOf(const std::string& error) {
  const size_t start = error.find("is not in ");
  if (start == std::string::npos) return {};
  const std::string range = error.substr(start + 10);
  const std::vector<std::string> ends =
      absl::StrSplit(range.substr(0, range.find('\n')), " .. ");
  return ends.size() == 2 ? std::pair{ends[0], ends[1]}
                          : std::pair<std::string, std::string>{};
}

void ExpectRefused(const std::string& flag, const std::string& value,
                   std::string* error) {
  *error = Ask(absl::StrCat("--", flag, "=", value));
  EXPECT_THAT(*error, StartsWith(absl::StrCat("actserved: ", flag, ": ", value,
                                              " is not in ")));
}

TEST(Flags, EveryNumberHasARange) {
  int num_checked = 0;
  for (const Flag& flag : Flags()) {
    if (!IsNumber(flag.value) || IsShownAsNumber(flag)) continue;
    SCOPED_TRACE(flag.name);
    std::string error;
    ExpectRefused(flag.name, "-2", &error);
    const auto [min, max] = RangeOf(error);
    int64_t least = 0;
    int64_t most = 0;
    ASSERT_TRUE(absl::SimpleAtoi(min, &least) && absl::SimpleAtoi(max, &most));
    ExpectRefused(flag.name, absl::StrCat(least - 1), &error);
    if (most < std::numeric_limits<int64_t>::max()) {
      ExpectRefused(flag.name, absl::StrCat(most + 1), &error);
    }
    ++num_checked;
  }
  EXPECT_GT(num_checked, 30);
}

TEST(Flags, EveryDurationHasARange) {
  int num_checked = 0;
  for (const Flag& flag : Flags()) {
    if (!IsDuration(flag.value) ||
        (IsNumber(flag.value) && !IsShownAsNumber(flag))) {
      continue;
    }
    SCOPED_TRACE(flag.name);
    std::string error;
    ExpectRefused(flag.name, "-1s", &error);
    const auto [min, max] = RangeOf(error);
    absl::Duration most;
    ASSERT_TRUE(absl::ParseDuration(max, &most)) << error;
    ExpectRefused(flag.name, absl::FormatDuration(most + absl::Seconds(1)),
                  &error);
    ++num_checked;
  }
  EXPECT_EQ(num_checked, 11);
}

// One name in three places, and what --check says of each.
TEST(Flags, CheckTellsEveryValueAndItsSource) {
  const std::string path = ::testing::TempDir() + "/flags_test.conf";
  std::ofstream(path) << "# of the test\nmax_rank = 4\nmax_inputs = 3\n";
  int code = -1;

  const std::string said =
      Ask(absl::StrCat("--check --max_depth=9 --config=", path),
          "ACTSERVE_MAX_INPUTS=2 ACTSERVE_MAX_DEPTH=8", &code);

  EXPECT_EQ(code, 0) << said;
  for (const std::string& line :
       {absl::StrCat("\nmax_rank = 4  # ", path, ":2\n"),
        std::string("\nmax_inputs = 2  # ACTSERVE_MAX_INPUTS\n"),
        std::string("\nmax_depth = 9  # command line\n"),
        std::string("\nmax_streams = 1000  # default\n"),
        std::string("\n# the device is cpu (--device=cpu)\n")}) {
    EXPECT_THAT(said, HasSubstr(line));
  }
  // What it prints is a configuration that means the same.
  const std::string again = path + ".again";
  std::ofstream(again) << said;
  EXPECT_THAT(Ask("--check --config=" + again, "", &code),
              HasSubstr("\nmax_inputs = 2  # " + again + ":"));
  EXPECT_EQ(code, 0);
}

TEST(Flags, CheckFindsWhatAServerWouldNotStartWith) {
  const std::string path = ::testing::TempDir() + "/flags_test_bad.conf";
  std::ofstream(path) << "\nmax_rank = 4711\n";
  struct Case {
    std::string arguments;
    std::string variables;
    std::string message;
  };
  const Case cases[] = {
      {"--config=" + path, "",
       absl::StrCat("actserved: ", path,
                    ":2: max_rank: 4711 is not in 0 .. 1024\n")},
      {"", "ACTSERVE_MAX_RANK=4711",
       "actserved: ACTSERVE_MAX_RANK: max_rank: 4711 is not in 0 .. 1024\n"},
      {"", "ACTSERVE_MAX_RANKS=4", "ACTSERVE_MAX_RANK is --max_rank"},
      {"--config=/nowhere", "", "config: cannot read /nowhere: No such file"},
      {"--listen=no.such.host.invalid:1", "", "listen: no.such.host.invalid:1"},
      {"--listen=127.0.0.1:99999", "", "port 99999 is not in 0 .. 65535"},
      {"--unix_socket=s.sock", "", "not an absolute path"},
      {"--port_file=/nowhere/ports", "", "port_file: cannot write to /nowhere"},
      {"--cache_directory=/proc/nowhere/cache", "", "/proc/nowhere/cache"},
      {"--device=cuda:4711", "", "actserved: "},
      {"--log_level=loud", "", "log_level: loud is none of"},
      {"--trace_sample_ratio=nan", "", "trace_sample_ratio: nan is not in 0"},
      {"--trace_sample_ratio=1.5", "", "1.5 is not in 0 .. 1"},
      {"--otlp_endpoint=collector", "", "collector is not host:port"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(absl::StrCat(c.variables, " ", c.arguments));
    int code = -1;
    EXPECT_THAT(Ask("--check " + c.arguments, c.variables, &code),
                HasSubstr(c.message));
    EXPECT_EQ(code, 1);
  }
}

TEST(Flags, VersionTellsWhatWasBuilt) {
  int code = -1;
  // Whatever the configuration is.
  const std::string said = Ask("--version", "ACTSERVE_CONFIG=/nowhere", &code);
  EXPECT_EQ(code, 0);
  for (const char* text : {"actserved ", "\nrevision: ", "\ncompiler: ",
                           "\ngRPC: ", "\nLLVM: ", "\nCUDA: "}) {
    EXPECT_THAT(said, HasSubstr(text));
  }
}

TEST(Flags, EveryLimitIsDocumented) {
  std::ifstream file(ACTSERVE_LIMITS_PAGE);
  std::ostringstream text;
  text << file.rdbuf();
  const std::string page = text.str();
  int num_limits = 0;
  for (const Flag& flag : Flags()) {
    if (!absl::StartsWith(flag.name, "max_")) continue;
    EXPECT_THAT(page, HasSubstr(absl::StrCat("`--", flag.name, "`")));
    ++num_limits;
  }
  EXPECT_GT(num_limits, 20);
}

// The other way round: no flag there that is none.
TEST(Flags, EveryDocumentedFlagExists) {
  std::ifstream file(ACTSERVE_LIMITS_PAGE);
  const std::string help = Ask("--help");
  int num_flags = 0;
  for (std::string line; std::getline(file, line);) {
    for (absl::string_view word : absl::StrSplit(line, '`')) {
      if (!absl::ConsumePrefix(&word, "--")) continue;
      EXPECT_THAT(help, HasSubstr(absl::StrCat(
                            "--", word.substr(0, word.find('=')), " (")));
      ++num_flags;
    }
  }
  EXPECT_GT(num_flags, 20);
}

}  // namespace
}  // namespace actserve::testing
