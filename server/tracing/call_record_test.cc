#include "server/tracing/call_record.h"

#include <gtest/gtest.h>

#include <optional>

#include "absl/time/time.h"

namespace actserve {
namespace {

const absl::Time kStart = absl::UnixEpoch();

absl::Time At(int64_t micros) { return kStart + absl::Microseconds(micros); }

void ExpectStep(const std::optional<Step>& step, int64_t start, int64_t end) {
  ASSERT_TRUE(step.has_value());
  EXPECT_EQ(step->start, At(start));
  EXPECT_EQ(step->end, At(end));
}

TEST(LayStages, PutsOneAfterTheOther) {
  Steps steps;
  LayStages(At(0), At(100), absl::Microseconds(10), absl::Microseconds(50),
            absl::Microseconds(20), &steps);
  ExpectStep(steps.copy_in, 0, 10);
  ExpectStep(steps.compute, 10, 60);
  ExpectStep(steps.copy_out, 60, 80);
}

TEST(LayStages, LeavesOutWhatTookNoTime) {
  Steps steps;
  LayStages(At(0), At(100), absl::ZeroDuration(), absl::Microseconds(50),
            absl::ZeroDuration(), &steps);
  EXPECT_FALSE(steps.copy_in.has_value());
  ExpectStep(steps.compute, 0, 50);
  EXPECT_FALSE(steps.copy_out.has_value());
}

// A GPU that copies and computes at a time counts both.
TEST(LayStages, KeepsStagesThatOverlapInside) {
  Steps steps;
  LayStages(At(0), At(100), absl::Microseconds(80), absl::Microseconds(90),
            absl::Microseconds(70), &steps);
  ExpectStep(steps.copy_in, 0, 80);
  ExpectStep(steps.compute, 10, 100);
  ExpectStep(steps.copy_out, 30, 100);
}

// Clocks differ.
TEST(LayStages, CutsWhatIsLongerThanTheWhole) {
  Steps steps;
  LayStages(At(0), At(5), absl::ZeroDuration(), absl::Microseconds(9),
            absl::ZeroDuration(), &steps);
  ExpectStep(steps.compute, 0, 5);
  LayStages(At(5), At(0), absl::Microseconds(1), absl::Microseconds(9),
            absl::ZeroDuration(), &steps);
  ExpectStep(steps.copy_in, 5, 5);
  ExpectStep(steps.compute, 5, 5);
}

}  // namespace
}  // namespace actserve
