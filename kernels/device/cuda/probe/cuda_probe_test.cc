// Runs the probe over the fake driver. The times mean nothing.

#include <stdlib.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/activation/activation.h"
#include "kernels/catalog/catalog.h"
#include "kernels/codegen/cuda/emit.h"
#include "kernels/codegen/cuda/nvrtc.h"
#include "kernels/device/cuda/program/sass_pack.h"
#include "kernels/device/cuda/testing/fake_driver.h"
#include "nlohmann/json.hpp"

namespace actserve {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kPools[] = "cuDeviceGetAttribute(MEMORY_POOLS_SUPPORTED)";
constexpr char kKernelDone[] = "cuEventQuery until the kernel is done";
constexpr char kLast[] = "cuDevicePrimaryCtxRelease";

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class CudaProbe : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string why = testing::FakeDriver::WhyNoKernels();
    if (!why.empty()) GTEST_SKIP() << why;
    folder_ = ::testing::TempDir() + "cuda_probe_XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
  }
  ~CudaProbe() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  // Returns the exit code; text_ holds the output, json_ its JSON. `knob` is
  // one of the fake driver's.
  int Run(const std::string& knob, const std::string& flags = "") {
    const std::string json =
        json_file_.empty() ? folder_ + "/probe.json" : json_file_;
    const std::string out = folder_ + "/out";
    std::filesystem::remove(json);
    const int status = std::system(
        absl::StrCat("FAKE_CUDA=", knob, " ACTSERVE_CUDA_DRIVER=", driver_,
                     " ACTSERVE_NVRTC=", nvrtc_,
                     " " CUDA_PROBE_BINARY " --device_nodes=/nowhere --json=",
                     json, " ", flags, " >", out, " 2>&1")
            .c_str());
    text_ = ReadFile(out);
    json_ = nlohmann::json::parse(ReadFile(json), nullptr, false);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  // The first row of a call; null if there is none.
  nlohmann::json Row(const std::string& call) const {
    for (const nlohmann::json& row : json_["rows"]) {
      if (row["call"] == call) return row;
    }
    return nullptr;
  }
  // "ok", "failed", "not tried"; "" if there is no row of the call.
  std::string OutcomeOf(const std::string& call) const {
    const nlohmann::json row = Row(call);
    return row.is_null() ? "" : row["outcome"].get<std::string>();
  }

  // Writes a pack with the code that the fake NVRTC makes of relu.
  std::string WritePack() const {
    const auto activation = Activation::Create(FindInCatalog("relu")->text,
                                               Activation::Options(), nullptr);
    const std::string text = EmitCuda(
        *(*activation)->LowerForward(DType::kFloat32, {}), CudaPart::kProgram);
    const auto nvrtc = Nvrtc::Open(testing::FakeDriver::Path());
    const auto binary = (*nvrtc)->Compile(text, 90);
    const std::string path = folder_ + "/pack";
    const absl::Status written =
        SassPack::Write(path, "13.0", {{SassKey(text, 90), 90, binary->cubin}});
    EXPECT_TRUE(written.ok()) << written;
    return path;
  }

  std::string driver_ = testing::FakeDriver::Path();
  std::string nvrtc_ = testing::FakeDriver::Path();
  std::string json_file_;
  std::string folder_;
  std::string text_;
  nlohmann::json json_;
};

TEST_F(CudaProbe, TriesEveryCall) {
  ASSERT_EQ(Run("devices=1"), 0) << text_;

  for (const char* call :
       {"dlopen of the driver",
        "cuDriverGetVersion",
        "cuInit",
        "cuDeviceGetCount",
        "cuDeviceGet(0)",
        "cuDeviceGetName",
        "cuDeviceGetAttribute(COMPUTE_CAPABILITY_MAJOR)",
        "cuDeviceGetAttribute(MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)",
        kPools,
        "cuDeviceTotalMem",
        "cuDevicePrimaryCtxRetain",
        "cuCtxSetCurrent",
        "cuMemGetInfo",
        "cuStreamCreate",
        "cuEventCreate",
        "cuEventRecord",
        "cuEventQuery until both are done",
        "cuEventElapsedTime",
        "cuEventQuery of an idle stream, 1000 times",
        "cuMemPoolSetAttribute(RELEASE_THRESHOLD)",
        "cuMemAllocAsync(4 KiB)",
        "cuMemFreeAsync(256 MiB)",
        "cuMemHostAlloc(64 MiB)",
        "64 MiB to the device and back",
        "cuMemcpyHtoDAsync, 4 KiB",
        "cuMemcpyDtoHAsync, 64 MiB",
        "cuMemcpyHtoDAsync and cuMemcpyDtoHAsync at once, 64 MiB",
        "dlopen of NVRTC",
        "compilation of relu",
        "cuModuleLoadData",
        "cuModuleGetFunction",
        "cuLaunchKernel",
        kKernelDone,
        "cuMemcpyDtoHAsync of the kernel's output",
        "cuLaunchKernel, 200 times",
        "cuLaunchKernel until it is done, 200 times",
        "cuFuncSetAttribute(MAX_DYNAMIC_SHARED_SIZE_BYTES)",
        "CudaDevice::Create",
        "CudaDevice::Run",
        "cuModuleUnload",
        "cuMemFreeAsync",
        "cuMemFreeHost",
        "cuEventDestroy",
        "cuStreamDestroy",
        kLast}) {
    EXPECT_EQ(OutcomeOf(call), "ok") << call;
    EXPECT_GE(Row(call)["ms"], 0) << call;
  }
  EXPECT_EQ(OutcomeOf("cuMemAllocAsync(0 bytes)"), "information");
  EXPECT_THAT(json_["failed"], IsEmpty());
  EXPECT_EQ(json_["finished"], true);
  EXPECT_EQ(json_["exit_code"], 0);
}

TEST_F(CudaProbe, SaysWhatItFound) {
  ASSERT_EQ(Run("devices=2", "--device=1"), 0) << text_;

  EXPECT_EQ(Row("dlopen of the driver")["found"]["library"], driver_);
  EXPECT_EQ(Row("dlopen of NVRTC")["found"]["library"], nvrtc_);
  EXPECT_EQ(Row("cuDeviceGetCount")["found"]["devices"], 2);
  EXPECT_EQ(Row("cuDeviceGet(1)")["outcome"], "ok");
  EXPECT_EQ(Row(kPools)["found"]["value"], 1);
  EXPECT_GT(Row("cuMemcpyDtoHAsync, 64 MiB")["found"]["gb_per_s"], 0);
  EXPECT_THAT(text_, HasSubstr("| cuDriverGetVersion | ok | "));
  EXPECT_THAT(text_, HasSubstr("| version 13.0 |\n"));
  EXPECT_THAT(text_, EndsWith("\nEverything worked.\n"));
}

TEST_F(CudaProbe, GoesOnAfterAFailure) {
  struct Case {
    const char* knob;
    const char* failed;
    const char* result;
    const char* later;  // still "ok"; nullptr: nothing can be tried
  };
  const Case cases[] = {
      {"init_result=999", "cuInit", "(999)", nullptr},
      {"version=11040", "cuDriverGetVersion", "want 12.0 or newer", kLast},
      {"memory_pools=0", kPools, "the device has no memory pools", kLast},
      {"fail_alloc_at=1", "cuMemAllocAsync(4 KiB)", "OUT_OF_MEMORY (2)",
       "CudaDevice::Run"},
      {"fail_pin_at=2", "cuMemHostAlloc(64 MiB)", "", "CudaDevice::Run"},
      {"fail_compile_at=1", "compilation of relu", "nvrtcCompileProgram",
       "CudaDevice::Run"},
      {"fail_load_at=1", "cuModuleLoadData", "(200)", "CudaDevice::Run"},
      {"sticky_at_launch=1", kKernelDone, "ILLEGAL_ADDRESS (700)",
       "cuModuleGetFunction"},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.knob);

    EXPECT_EQ(Run(test.knob), 1) << text_;
    EXPECT_THAT(json_["failed"].dump(), HasSubstr(test.failed));
    EXPECT_THAT(text_,
                HasSubstr(absl::StrCat("| ", test.failed, " | **failed**: ")));
    EXPECT_THAT(text_, HasSubstr(test.result));
    if (test.later != nullptr) {
      EXPECT_EQ(OutcomeOf(test.later), "ok") << text_;
    }
  }
}

TEST_F(CudaProbe, LeavesADeviceThatDoesNotEndItsWorkAlone) {
  // After the launches of the probe's own.
  EXPECT_EQ(Run("hang_at_launch=402", "--deadline=0.2"), 1) << text_;

  EXPECT_EQ(OutcomeOf("cuLaunchKernel until it is done, 200 times"), "ok");
  EXPECT_THAT(json_["failed"].dump(), HasSubstr("CudaDevice::"));
  EXPECT_EQ(OutcomeOf("giving all back"), "not tried");
}

TEST_F(CudaProbe, EndsThoughAKernelDoesNot) {
  for (const char* knob : {"hang_at_launch=1", "hang_at_launch=300"}) {
    SCOPED_TRACE(knob);

    EXPECT_EQ(Run(knob, "--deadline=0.2"), 1) << text_;
    EXPECT_THAT(text_, HasSubstr("did not answer in 200ms"));
    EXPECT_EQ(OutcomeOf("CudaDevice::Create"), "not tried");
    EXPECT_EQ(OutcomeOf("giving all back"), "not tried");
    EXPECT_EQ(json_["finished"], true);
  }
}

TEST_F(CudaProbe, TellsNoDeviceFromOneThatIsNotFound) {
  const std::string node = folder_ + "/nvidia0";
  std::ofstream(node).flush();
  struct Case {
    std::string driver;
    const char* result;
  };
  for (const Case& test :
       {Case{driver_, "CUDA_ERROR_OF_THE_FAKE (100)"},
        Case{"/nowhere/libcuda.so.1", "tried /nowhere/libcuda.so.1"}}) {
    SCOPED_TRACE(test.driver);
    driver_ = test.driver;

    EXPECT_EQ(Run("devices=0"), 77) << text_;
    EXPECT_THAT(text_, HasSubstr("No GPU here: "));
    EXPECT_THAT(text_, HasSubstr(test.result));

    EXPECT_EQ(Run("devices=0", "--device_nodes=/nowhere," + node), 1) << text_;
    EXPECT_THAT(text_, HasSubstr(absl::StrCat(", but there is ", node)));
  }
}

TEST_F(CudaProbe, WantsAKernelFromNvrtcOrAPack) {
  nvrtc_ = "/nowhere/libnvrtc.so.13";

  EXPECT_EQ(Run("devices=1"), 1) << text_;
  EXPECT_EQ(OutcomeOf("dlopen of NVRTC"), "failed");
  EXPECT_EQ(OutcomeOf("cuLaunchKernel"), "not tried");
  EXPECT_THAT(text_, HasSubstr("| cuLaunchKernel | not tried: there is no "));
  EXPECT_EQ(OutcomeOf(kLast), "ok");

  // A device may want more of a pack than the relu that is in this one.
  Run("devices=1", "--pack=" + WritePack());
  EXPECT_EQ(OutcomeOf("dlopen of NVRTC"), "information") << text_;
  EXPECT_EQ(OutcomeOf("relu from the pack"), "ok");
  EXPECT_EQ(OutcomeOf("cuMemcpyDtoHAsync of the kernel's output"), "ok");

  EXPECT_EQ(Run("devices=1", "--pack=/nowhere/pack"), 1) << text_;
  EXPECT_EQ(OutcomeOf("the pack"), "failed");
}

TEST_F(CudaProbe, FailsIfItCannotWriteItsJson) {
  json_file_ = "/nowhere/probe.json";

  EXPECT_EQ(Run("devices=0"), 1);
  EXPECT_THAT(text_, HasSubstr("cuda_probe: cannot write /nowhere/"));
}

TEST_F(CudaProbe, ExplainsItself) {
  EXPECT_EQ(Run("devices=1", "--help"), 0);
  EXPECT_THAT(text_, HasSubstr("77 there is no"));
  EXPECT_THAT(text_, Not(HasSubstr("cuInit")));
}

}  // namespace
}  // namespace actserve
