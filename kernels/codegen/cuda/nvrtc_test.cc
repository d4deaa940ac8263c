#include "kernels/codegen/cuda/nvrtc.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actserve {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kText[] =
    "extern \"C\" __global__ void actserve_run(float* y) { *y *= 2.0f; }";

TEST(Nvrtc, SaysWhatItTried) {
  const auto nvrtc = Nvrtc::Open("/nowhere/libnvrtc.so.13");

  EXPECT_EQ(nvrtc.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(nvrtc.status().message()),
              HasSubstr("/nowhere/libnvrtc.so.13"));
}

TEST(Nvrtc, RefusesAnotherLibrary) {
  const auto nvrtc = Nvrtc::Open("libm.so.6");

  EXPECT_EQ(nvrtc.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(nvrtc.status().message()),
              EndsWith("/libm.so.6 is not NVRTC: it has no nvrtcVersion"));
}

TEST(NvrtcCandidates, NewestToolkitFirst) {
  const std::string root = ::testing::TempDir() + "nvrtc_candidates";
  for (const char* name : {"cuda-9.2", "cuda-13.0", "cuda-12.8", "cuda-12",
                           "cuda-13.0.old", "cudax-14.0"}) {
    std::filesystem::create_directories(root + "/usr/local/" + name);
  }

  const std::vector<std::string> candidates = NvrtcCandidates(root);

  std::vector<std::string> folders;
  for (const std::string& candidate : candidates) {
    const size_t at = candidate.find("/libnvrtc.so.13");
    if (at != std::string::npos) {
      folders.push_back(candidate.substr(root.size(), at - root.size()));
    }
  }
  EXPECT_THAT(folders,
              ElementsAre("/usr/local/cuda/lib64",
                          "/usr/local/cuda/targets/x86_64-linux/lib",
                          "/usr/local/cuda-13.0/lib64",
                          "/usr/local/cuda-13.0/targets/x86_64-linux/lib",
                          "/usr/local/cuda-12.8/lib64",
                          "/usr/local/cuda-12.8/targets/x86_64-linux/lib",
                          "/usr/local/cuda-12/lib64",
                          "/usr/local/cuda-12/targets/x86_64-linux/lib",
                          "/usr/local/cuda-9.2/lib64",
                          "/usr/local/cuda-9.2/targets/x86_64-linux/lib",
                          "/usr/lib/x86_64-linux-gnu"));
  EXPECT_EQ(candidates[0], "libnvrtc.so.13");
  EXPECT_EQ(candidates[1], "libnvrtc.so.12");
  EXPECT_EQ(candidates.size(), 2 * (1 + folders.size()));
  std::filesystem::remove_all(root);
}

TEST(NvrtcCandidates, NeedsNoFolder) {
  EXPECT_EQ(NvrtcCandidates("/nowhere").size(), 2 * (1 + 2 + 1));
}

class NvrtcCompile : public ::testing::Test {
 protected:
  void SetUp() override {
    auto nvrtc = Nvrtc::Open();
    if (!nvrtc.ok()) GTEST_SKIP() << nvrtc.status().message();
    nvrtc_ = *std::move(nvrtc);
  }

  std::unique_ptr<Nvrtc> nvrtc_;
};

TEST_F(NvrtcCompile, KnowsItsArchitectures) {
  EXPECT_THAT(nvrtc_->architectures(), Contains(75));
  EXPECT_THAT(nvrtc_->architectures(), Contains(90));
}

TEST_F(NvrtcCompile, GivesElfAndPtx) {
  const auto binary = nvrtc_->Compile(kText, 90);

  ASSERT_TRUE(binary.ok()) << binary.status();
  EXPECT_THAT(binary->cubin, StartsWith("\177ELF"));
  EXPECT_THAT(binary->ptx, HasSubstr(".entry actserve_run"));
}

TEST_F(NvrtcCompile, GivesTheSameBytesAgain) {
  EXPECT_EQ(nvrtc_->Compile(kText, 75)->cubin,
            nvrtc_->Compile(kText, 75)->cubin);
}

TEST_F(NvrtcCompile, RefusesAnUnknownArchitecture) {
  EXPECT_EQ(nvrtc_->Compile(kText, 13).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(NvrtcCompile, KeepsTheCompilersLogOutOfTheStatus) {
  std::string log;
  const auto binary = nvrtc_->Compile("int x = private_name;", 90, &log);

  EXPECT_EQ(binary.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(binary.status().message()),
              Not(HasSubstr("private_name")));
  EXPECT_THAT(log, HasSubstr("private_name"));
}

}  // namespace
}  // namespace actserve
