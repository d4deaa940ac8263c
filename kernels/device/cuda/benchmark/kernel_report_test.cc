#include "kernels/device/cuda/benchmark/kernel_report.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr int64_t kLarge = int64_t{1} << 30;

KernelTime Timed(const std::string& function, Direction direction, DType dtype,
                 int64_t tensor_bytes, double seconds) {
  KernelTime kernel;
  kernel.function = function;
  kernel.direction = direction;
  kernel.dtype = dtype;
  kernel.tensor_bytes = tensor_bytes;
  kernel.num_tensors = direction == Direction::kForward ? 2 : 3;
  kernel.time = {seconds, seconds, seconds, 1};
  return kernel;
}

KernelTime Ceiling(DType dtype, int64_t tensor_bytes, double seconds) {
  return Timed("copy", Direction::kForward, dtype, tensor_bytes, seconds);
}

nlohmann::json OnlyGoal(const KernelReport& report) {
  const nlohmann::json goals = ToJson(report)["goals"];
  EXPECT_EQ(goals.size(), 1) << goals.dump();
  return goals.empty() ? nlohmann::json() : goals[0];
}

TEST(KernelReport, GoalIsAShareOfTheFastestCopy) {
  struct Case {
    const char* name;
    const char* function;
    DType dtype;
    double seconds;
    double goal;
    bool reached;
  };
  const Case cases[] = {
      {"float32", "gelu", DType::kFloat32, 1.05, 0.95, true},
      {"float32 too slow", "gelu", DType::kFloat32, 1.06, 0.95, false},
      {"16 bits", "gelu", DType::kFloat16, 1.11, 0.90, true},
      {"16 bits too slow", "gelu", DType::kBFloat16, 1.12, 0.90, false},
      {"cheap in float64", "relu", DType::kFloat64, 1.06, 0.95, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    KernelReport report;
    report.ceilings = {Ceiling(c.dtype, kLarge, 1.5),
                       Ceiling(c.dtype, kLarge, 1)};
    report.kernels = {
        Timed(c.function, Direction::kForward, c.dtype, kLarge, c.seconds)};

    const nlohmann::json goal = OnlyGoal(report);

    EXPECT_EQ(goal["goal"], c.goal);
    EXPECT_NEAR(goal["found"], 1 / c.seconds, 1e-12);
    EXPECT_EQ(goal["reached"], c.reached);
  }
}

TEST(KernelReport, BeginsWithWhatFailed) {
  KernelReport report;
  report.failed = {"silu: why"};

  EXPECT_THAT(ToMarkdown(report), StartsWith("* **failed**: silu: why\n\n"));
  EXPECT_EQ(ToJson(report)["failed"], nlohmann::json({"silu: why"}));
}

TEST(KernelReport, SmallAndCostlyKernelsHaveNoGoal) {
  KernelReport report;
  report.kernels = {
      Timed("relu", Direction::kForward, DType::kFloat32, kLarge / 2, 1),
      Timed("gelu", Direction::kForward, DType::kFloat64, kLarge, 1)};

  EXPECT_EQ(ToJson(report)["goals"].size(), 0);
  EXPECT_THAT(ToMarkdown(report), HasSubstr("No goal applies"));
}

TEST(KernelReport, BestWayToRunAKernelCounts) {
  KernelReport report;
  report.ceilings = {Ceiling(DType::kBFloat16, kLarge, 1)};
  report.kernels = {
      Timed("gelu", Direction::kForward, DType::kBFloat16, kLarge, 2),
      Timed("gelu", Direction::kForward, DType::kBFloat16, kLarge, 1)};
  report.kernels[0].table = TablePlace::kGlobal;
  report.kernels[1].table = TablePlace::kShared;

  EXPECT_EQ(OnlyGoal(report)["found"], 1);
  EXPECT_THAT(ToMarkdown(report),
              HasSubstr("| gelu, forward, bfloat16 | 2.00"));
  EXPECT_THAT(ToMarkdown(report),
              HasSubstr("From 536870912 elements on shared memory loses"));
}

TEST(KernelReport, GradientsAreMeasuredAgainstTriads) {
  KernelReport report;
  report.ceilings = {
      Ceiling(DType::kFloat32, kLarge, 1),
      Timed("triad", Direction::kGradient, DType::kFloat32, kLarge, 1.5)};
  report.kernels = {
      Timed("relu", Direction::kGradient, DType::kFloat32, kLarge, 1.5)};

  EXPECT_EQ(OnlyGoal(report)["found"], 1);
}

TEST(KernelReport, MemcpyIsNoCeiling) {
  KernelReport report;
  report.ceilings = {Ceiling(DType::kFloat32, kLarge, 1),
                     Ceiling(DType::kFloat32, kLarge, 0.5)};
  report.ceilings[1].function = "memcpy";
  report.kernels = {
      Timed("relu", Direction::kForward, DType::kFloat32, kLarge, 1)};

  EXPECT_EQ(OnlyGoal(report)["found"], 1);
}

TEST(KernelReport, ComparesWithPyTorchAtEqualSizes) {
  KernelReport report;
  report.kernels = {
      Timed("mish", Direction::kForward, DType::kBFloat16, kLarge, 1)};
  report.ceilings = {Ceiling(DType::kBFloat16, kLarge, 1)};

  ReadPyTorch(R"({"version": "2.0", "kernels": [
      {"function": "mish", "direction": "forward", "dtype": "bfloat16",
       "tensor_bytes": 1073741824, "seconds": 1.4},
      {"function": "mish", "direction": "forward", "dtype": "bfloat16",
       "tensor_bytes": 65536, "seconds": 9}]})",
              report);

  const nlohmann::json goals = ToJson(report)["goals"];
  ASSERT_EQ(goals.size(), 2);
  EXPECT_EQ(goals[1]["goal"], 1.5);
  EXPECT_EQ(goals[1]["found"], 1.4);
  EXPECT_EQ(goals[1]["reached"], false);
  EXPECT_THAT(ToMarkdown(report), HasSubstr("**1.40** < 1.50 (1 GiB)"));
  EXPECT_THAT(ToMarkdown(report), HasSubstr("PyTorch 2.0."));
}

TEST(KernelReport, SaysWhyThereIsNoPyTorch) {
  for (const char* text : {"", "[]", "{", R"({"kernels": []})"}) {
    SCOPED_TRACE(text);
    KernelReport report;

    ReadPyTorch(text, report);

    EXPECT_THAT(ToMarkdown(report), HasSubstr("PyTorch not run: "));
    EXPECT_THAT(ToMarkdown(report), Not(HasSubstr("not run: .")));
  }
}

TEST(KernelReport, TellsWhatWasLeftOut) {
  KernelReport report;
  report.left_out = {"float64, 2147483648 bytes: no time was left"};

  EXPECT_THAT(ToMarkdown(report),
              HasSubstr("* left out: float64, 2147483648 bytes: no time"));
}

TEST(KernelReport, FirstResultsHaveGoals) {
  KernelReport report;
  report.first_results = {.cold_ms = 251, .disk_ms = 4, .repetitions = 3};

  EXPECT_THAT(ToMarkdown(report), HasSubstr("251.0 ms (goal <= 250: missed)"));
  EXPECT_THAT(ToMarkdown(report), HasSubstr("4.0 ms (goal <= 5: reached)"));
}

}  // namespace
}  // namespace actserve
