#include "server/testing/server_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace actserve::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A program that runs `body` in a shell after it has written two addresses to
// the file of --port_file, whose name is in $ports.
std::string FakeServer(const std::string& body) {
  const std::string path = ::testing::TempDir() + "/fake_server";
  std::filesystem::remove(path);
  std::ofstream(path) << "#!/bin/sh\n"
                         "for flag; do case $flag in\n"
                         "  --port_file=*) ports=${flag#*=};;\n"
                         "esac; done\n"
                         "printf '127.0.0.1:7\\n127.0.0.2:8\\nunix:/s\\n' "
                         ">\"$ports\"\n"
                      << body;
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path;
}

constexpr char kServes[] = "echo '{\"event\":\"serving\"}' >&2\n";

TEST(ServerProcess, KnowsTheAddressesOfItsServer) {
  const auto server =
      ServerProcess::Start(FakeServer(absl::StrCat(kServes, "exec sleep 60")));

  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ((*server)->tcp_address(), "127.0.0.1:7");
  EXPECT_THAT((*server)->tcp_addresses(),
              ElementsAre("127.0.0.1:7", "127.0.0.2:8"));
  EXPECT_THAT((*server)->unix_address(), ::testing::StartsWith("unix:/"));
}

TEST(ServerProcess, FlagsComeLast) {
  const auto server = ServerProcess::Start(
      FakeServer(absl::StrCat(kServes, "echo \"$*\" >&2\nexit 0")), {"--a=1"});

  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ((*server)->Wait(), 0);
  EXPECT_FALSE((*server)->WaitForEvent("never"));
  ASSERT_EQ((*server)->log().size(), 2u);
  EXPECT_THAT((*server)->log()[1], ::testing::EndsWith(" --a=1"));
}

TEST(ServerProcess, AServerThatEndsLeavesItsLastWords) {
  const auto server =
      ServerProcess::Start(FakeServer("printf 'no\\nmemory' >&2; exit 3"));

  ASSERT_TRUE(absl::IsUnavailable(server.status())) << server.status();
  EXPECT_THAT(std::string(server.status().message()), HasSubstr("no\nmemory"));
}

TEST(ServerProcess, AProgramThatIsNotThereIsUnavailable) {
  const auto server = ServerProcess::Start("/nowhere/actserved");

  ASSERT_TRUE(absl::IsUnavailable(server.status())) << server.status();
  EXPECT_THAT(std::string(server.status().message()),
              HasSubstr("/nowhere/actserved does not listen"));
}

TEST(ServerProcess, WaitTellsHowItEnded) {
  const auto killed =
      ServerProcess::Start(FakeServer(absl::StrCat(kServes, "exec sleep 60")));
  ASSERT_TRUE(killed.ok()) << killed.status();
  (*killed)->Signal(SIGTERM);
  EXPECT_EQ((*killed)->Wait(), -SIGTERM);

  const auto ended =
      ServerProcess::Start(FakeServer(absl::StrCat(kServes, "exit 3")));
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ((*ended)->Wait(), 3);
}

TEST(ServerProcess, LeavesNoProcessAndNoFolder) {
  auto server =
      ServerProcess::Start(FakeServer(absl::StrCat(kServes, "exec sleep 60")));
  ASSERT_TRUE(server.ok()) << server.status();
  const pid_t pid = (*server)->pid();
  const std::string port_file = (*server)->port_file();
  ASSERT_TRUE(std::filesystem::exists(port_file));

  server->reset();

  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_FALSE(
      std::filesystem::exists(std::filesystem::path(port_file).parent_path()));
}

TEST(ServerProcess, ProgramsOfTheBuildMayHaveMoved) {
  const char* const before = std::getenv("ACTSERVE_BINARIES");
  const std::string restore = before == nullptr ? "" : before;
  unsetenv("ACTSERVE_BINARIES");
  EXPECT_EQ(BinaryOfBuild("/build/bin/actserved"), "/build/bin/actserved");
  setenv("ACTSERVE_BINARIES", "/moved", 1);
  EXPECT_EQ(BinaryOfBuild("/build/bin/actserved"), "/moved/actserved");
  if (before == nullptr) {
    unsetenv("ACTSERVE_BINARIES");
  } else {
    setenv("ACTSERVE_BINARIES", restore.c_str(), 1);
  }
}

}  // namespace
}  // namespace actserve::testing
