// ThreadSanitizer finds the race that a failpoint plants: its silence about the
// rest of the code tells something.

#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "server/rpc/planted/faults.h"

namespace actserve {
namespace {

void EndCallsOnTwoThreads(const char* failpoints) {
  setenv("FAILPOINTS", failpoints, 1);
  const auto end_calls = [] {
    for (int i = 0; i < 100; ++i) {
      absl::Status status;
      grpc::ByteBuffer answer;
      PassesPlantedFaults(&status, &answer);
    }
  };
  std::thread other(end_calls);
  end_calls();
  other.join();
  // Not at the end of the test program.
  std::exit(0);
}

using ::testing::ExitedWithCode;

TEST(PlantedRaceDeathTest, IsFound) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  // The sanitizer's own code for a report.
  EXPECT_EXIT(EndCallsOnTwoThreads("race"), ExitedWithCode(66), "data race");
}

TEST(PlantedRaceDeathTest, IsNotFoundWhereThereIsNone) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(EndCallsOnTwoThreads("slow_path:0"), ExitedWithCode(0), "");
}

}  // namespace
}  // namespace actserve
