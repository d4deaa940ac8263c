// Runs the benchmark over the fake driver, so that it is tested before a GPU is
// at hand. The times mean nothing.

#include <stdlib.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/cuda/testing/fake_driver.h"
#include "nlohmann/json.hpp"

namespace actserve {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kSmall[] =
    " --tensor_bytes=65536 --ceiling_vectors=4 --blocks=1"
    " --block_seconds=1e-6 --compile_threads=2";

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class CudaBenchmark : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string why = testing::FakeDriver::WhyNoKernels();
    if (!why.empty()) GTEST_SKIP() << why;
    folder_ = ::testing::TempDir() + "cuda_benchmark_XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
  }
  ~CudaBenchmark() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  // Returns the exit code; text_ holds the output, json_ its JSON. `knob` is
  // one of the fake driver's.
  int Run(const std::string& flags, const std::string& knob = "devices=1") {
    const std::string fake = testing::FakeDriver::Path();
    const std::string json = folder_ + "/times.json";
    const std::string out = folder_ + "/out";
    const int status = std::system(
        absl::StrCat("FAKE_CUDA=memory_bytes=67108864,", knob,
                     " ACTSERVE_CUDA_DRIVER=", fake, " ACTSERVE_NVRTC=", fake,
                     " " CUDA_BENCHMARK_BINARY " --json=", json, kSmall, " ",
                     flags, " >", out, " 2>&1")
            .c_str());
    text_ = ReadFile(out);
    json_ = nlohmann::json::parse(ReadFile(json), nullptr, false);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  // The distinct values of a field of all kernels.
  std::set<std::string> Kernels(const char* field) const {
    std::set<std::string> values;
    for (const nlohmann::json& kernel : json_["kernels"]) {
      values.insert(kernel[field].get<std::string>());
    }
    return values;
  }

  std::string folder_;
  std::string text_;
  nlohmann::json json_;
};

TEST_F(CudaBenchmark, RunsEveryWayOfAKernel) {
  ASSERT_EQ(Run("--functions=prelu --dtypes=bfloat16,float64"
                " --first_results=0"),
            0)
      << text_;

  EXPECT_THAT(std::string(json_["device"]), HasSubstr("Fake GPU"));
  EXPECT_THAT(
      Kernels("direction"),
      UnorderedElementsAre("forward", "gradient", "gradient with parameters"));
  EXPECT_THAT(Kernels("table"),
              UnorderedElementsAre("none", "global", "shared"));
  EXPECT_THAT(Kernels("dtype"), UnorderedElementsAre("bfloat16", "float64"));
  // bfloat16: with both tables and hints, twice, and the sum; float64: with
  // both hints, twice, and the sum.
  EXPECT_EQ(json_["kernels"].size(), 4 + 4 + 1 + 2 + 2 + 1);
  for (const nlohmann::json& kernel : json_["kernels"]) {
    EXPECT_GT(kernel["seconds"], 0);
    EXPECT_GT(kernel["share_of_ceiling"], 0);
  }
  EXPECT_THAT(json_["left_out"], IsEmpty());
}

TEST_F(CudaBenchmark, TimesRowsAtOneSize) {
  ASSERT_EQ(Run("--functions=relu --dtypes=float32,float64 --first_results=0"
                " --tensor_bytes=131072,65536 --row_tensor_bytes=131072"
                " --row_functions=softmax --rows=64,1024x16,32768,5000"),
            0)
      << text_;

  // Forward and gradient; what is not to be timed in float64 is not.
  EXPECT_EQ(json_["rows"].size(), 2 * 3);
  for (const nlohmann::json& row : json_["rows"]) {
    EXPECT_EQ(row["tensor_bytes"], 131072);
    EXPECT_EQ(row["dtype"], "float32");
    EXPECT_GT(row["share_of_ceiling"], 0);
  }
  EXPECT_THAT(text_, HasSubstr("| elements of a row | 64 | 1024, 16 apart |"));
  EXPECT_THAT(text_, HasSubstr("left out: softmax, forward, float32, rows of "
                               "5000: they do not fill a tensor"));
}

TEST_F(CudaBenchmark, TimesFirstResults) {
  ASSERT_EQ(Run("--functions=relu --dtypes=float32 --first_results=1"), 0)
      << text_;

  const nlohmann::json first = json_["first_results"];
  EXPECT_GT(first["cold_ms"], first["disk_ms"]);
  EXPECT_GT(first["disk_ms"], 0);
}

TEST_F(CudaBenchmark, LeavesOutWhatThereIsNoTimeFor) {
  ASSERT_EQ(Run("--functions=relu --dtypes=float32 --first_results=0"
                " --max_seconds=0"),
            0)
      << text_;

  EXPECT_THAT(json_["kernels"], IsEmpty());
  EXPECT_THAT(text_, HasSubstr("left out: float32, 65536 bytes: no time"));
}

TEST_F(CudaBenchmark, LeavesOutWhatThereIsNoMemoryFor) {
  ASSERT_EQ(Run("--functions=relu --dtypes=float32 --first_results=0"
                " --tensor_bytes=2147483648"),
            0)
      << text_;

  EXPECT_THAT(text_, HasSubstr("float32, 2147483648 bytes: not enough"));
  EXPECT_EQ(json_["kernels"].size(), 4);
}

TEST_F(CudaBenchmark, CompilesWhatAPackCannotGive) {
  ASSERT_EQ(Run("--functions=relu --dtypes=float32 --first_results=0"
                " --pack=/nowhere/pack"),
            0)
      << text_;

  EXPECT_THAT(text_, HasSubstr("left out: the pack: /nowhere/pack"));
  EXPECT_EQ(json_["kernels"].size(), 4);
}

// A kernel with one wrong result on the first card would have cost all figures.
TEST_F(CudaBenchmark, GoesOnWithoutWhatFails) {
  struct Case {
    const char* knob;
    const char* failed;
    size_t num_kernels;   // of 4 + 1 times
    size_t num_ceilings;  // of 4 and memcpy, 4 twice
  };
  const Case cases[] = {
      // The first block is the tensors', the second one the sums'.
      {"fail_alloc_at=2", "prelu, gradient with parameters, float32, 65536", 4,
       9},
      // After the code of three kernels.
      {"fail_load_at=4", "a ceiling's 4 vectors of 1", 5, 7},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.knob);

    EXPECT_EQ(
        Run("--functions=prelu --dtypes=float32 --first_results=0", test.knob),
        1)
        << text_;

    ASSERT_EQ(json_["failed"].size(), 1) << text_;
    EXPECT_THAT(std::string(json_["failed"][0]), HasSubstr(test.failed));
    EXPECT_THAT(text_, HasSubstr(std::string("* **failed**: ") + test.failed));
    EXPECT_EQ(json_["kernels"].size(), test.num_kernels);
    EXPECT_EQ(json_["ceilings"].size(), test.num_ceilings);
  }
}

TEST_F(CudaBenchmark, GoesOnWithoutAKernelThatDoesNotLoad) {
  EXPECT_EQ(Run("--functions=relu,silu --dtypes=float32 --first_results=0",
                "fail_load_at=1"),
            1)
      << text_;

  // Whichever was the first.
  ASSERT_EQ(json_["failed"].size(), 1) << text_;
  EXPECT_THAT(std::string(json_["failed"][0]), HasSubstr(", float32: "));
  EXPECT_EQ(json_["kernels"].size(), 2 + 2 + 2);
}

TEST_F(CudaBenchmark, EndsWhenTheDeviceIsLost) {
  EXPECT_EQ(Run("--functions=relu --dtypes=float32 --first_results=0",
                "sticky_at_launch=40"),
            1);

  EXPECT_THAT(text_, HasSubstr("cuda_benchmark: cuda:0 is lost"));
  EXPECT_THAT(json_["failed"], IsEmpty());
  EXPECT_GT(json_["ceilings"].size(), 0);
}

TEST_F(CudaBenchmark, RefusesWhatItCannotTime) {
  EXPECT_EQ(Run("--functions=nothing --first_results=0"), 1);
  EXPECT_THAT(text_, HasSubstr("no built-in is named nothing"));

  EXPECT_EQ(Run("--rows=8x"), 105);  // CLI11's code of a value that is none
  EXPECT_THAT(text_, HasSubstr("8x: want a size"));

  EXPECT_EQ(Run("--tensor_bytes=1000"), 1);
  EXPECT_THAT(text_, HasSubstr("a tensor of 1000 bytes"));
}

TEST_F(CudaBenchmark, TellsThatItCannotRunHere) {
  EXPECT_EQ(Run("", "devices=0"), 77);
  EXPECT_THAT(text_, HasSubstr("finds no device"));
}

}  // namespace
}  // namespace actserve
