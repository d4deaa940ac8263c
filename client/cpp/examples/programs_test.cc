// The examples, run as their readers run them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Outcome {
  int exit_code;
  std::string output, errors;
};

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class ExamplePrograms : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = testing::ServerProcess::Start(
        absl::StrCat(ACTSERVE_BINARIES, "/actserved"), {"--device=cpu"});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  static Outcome Run(const std::string& command) {
    const std::string path = absl::StrCat(
        ::testing::TempDir(),
        ::testing::UnitTest::GetInstance()->current_test_info()->name());
    const int status =
        std::system(absl::StrCat(ACTSERVE_BINARIES, "/", command, " >", path,
                                 ".out 2>", path, ".err")
                        .c_str());
    return {WEXITSTATUS(status), ReadFile(path + ".out"),
            ReadFile(path + ".err")};
  }

  std::unique_ptr<testing::ServerProcess> server_;
};

TEST_F(ExamplePrograms, ExamplePrintsTheValueAndTheDerivative) {
  const Outcome outcome = Run("example " + server_->tcp_address());

  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_EQ(outcome.output,
            "spiky(0.200000003) = 0.200000003, derivative 1\n"
            "spiky(0.699999988) = 0, derivative 0\n"
            "spiky(1.20000005) = 0.200000048, derivative 1\n"
            "spiky(1.70000005) = 0, derivative 0\n");
}

// The sums are SciPy's, in float64.
TEST_F(ExamplePrograms, FuturesEqualsTheWholeOverEveryTransport) {
  for (const std::string& address :
       {server_->tcp_address(), server_->unix_address()}) {
    const Outcome outcome = Run("futures " + address);

    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    EXPECT_EQ(outcome.output,
              "8 shards on threads equal the whole: sum of y 375001.0, of dx "
              "74081.2\n");
  }
}

TEST_F(ExamplePrograms, TrainDigitsPrintsItsLosses) {
  const Outcome remote =
      Run(absl::StrCat("train_digits --server=", server_->unix_address()));
  const Outcome local = Run("train_digits --server=local");

  EXPECT_EQ(remote.exit_code, 0) << remote.errors;
  EXPECT_THAT(remote.output, StartsWith("spiky  epoch  1  loss "));
  EXPECT_THAT(remote.output, HasSubstr("\ngelu  epoch 12  loss 0."));
  EXPECT_THAT(remote.output, HasSubstr("\nswish: test accuracy 0.9"));
  EXPECT_EQ(local.output, remote.output);
}

TEST_F(ExamplePrograms, NoServerIsAnError) {
  for (const std::string command :
       {"example", "futures", "train_digits --server="}) {
    const std::string address = command.back() == '=' ? "no" : " no";
    const Outcome outcome = Run(command + address);

    EXPECT_EQ(outcome.exit_code, 1) << command;
    EXPECT_EQ(outcome.output, "") << command;
    EXPECT_THAT(outcome.errors, HasSubstr("INVALID_ARGUMENT: ")) << command;
  }
}

TEST_F(ExamplePrograms, TrainDigitsNamesTheFileItLacks) {
  const Outcome outcome =
      Run("train_digits --server=local --digits=/nonexistent");

  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.errors,
            "train_digits: NOT_FOUND: cannot read /nonexistent/digits.u8\n");
}

}  // namespace
}  // namespace actserve
