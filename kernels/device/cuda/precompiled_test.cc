// Where the CUDA device has its code from: the pack, the disk, NVRTC, and what
// it does without the last. Over the fake driver.

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/codegen/cuda/emit.h"
#include "kernels/device/cuda/cuda_device.h"
#include "kernels/device/cuda/testing/fake_driver.h"
#include "kernels/device/testing/programs.h"
#include "kernels/device/testing/scratch_directory.h"

namespace actserve {
namespace {

using ::actserve::testing::AddProgram;
using ::actserve::testing::FakeDriver;
using ::actserve::testing::FakeKnob;
using ::actserve::testing::FloatItem;
using ::testing::HasSubstr;

// What the fake NVRTC makes of x + addend.
const std::string& CubinOf(double addend) {
  static auto* const cubins = new std::map<double, std::string>;
  std::string& cubin = (*cubins)[addend];
  if (cubin.empty()) {
    const auto nvrtc = Nvrtc::Open(FakeDriver::Path());
    EXPECT_TRUE(nvrtc.ok()) << nvrtc.status();
    cubin = (*nvrtc)
                ->Compile(EmitCuda(AddProgram(addend), CudaPart::kProgram), 90)
                ->cubin;
  }
  return cubin;
}

// A device whose pack has x + 1, and whose cache has what a test puts there.
class Precompiled : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = FakeDriver::WhyNoKernels();
    if (!reason.empty()) GTEST_SKIP() << reason;
    CubinOf(1);
    fake_.Reset();
  }

  std::string PackPath() const { return folder_.path() + "/pack"; }
  void WritePack(const std::vector<int>& architectures) const {
    const std::string text = EmitCuda(AddProgram(1), CudaPart::kProgram);
    std::vector<SassPack::Code> codes;
    for (const int architecture : architectures) {
      codes.push_back({SassKey(text, architecture), architecture, CubinOf(1)});
    }
    const absl::Status status =
        SassPack::Write(PackPath(), "13.0", std::move(codes));
    ASSERT_TRUE(status.ok()) << status;
  }
  // Of the last program.
  void DamageCode() const {
    std::fstream file(PackPath(),
                      std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(-1, std::ios::end);
    file.put('#');
  }
  CudaDevice::Options Options() const {
    CudaDevice::Options options;
    options.driver = FakeDriver::Path();
    options.nvrtc = FakeDriver::Path();
    options.cache_directory = folder_.path() + "/cache";
    options.num_staging_slots = 1;
    options.staging_bytes = ChunkCutter::kMinRegionBytes;
    // Tests count what they cause.
    options.self_test = false;
    options.heartbeat = false;
    if (std::filesystem::exists(PackPath())) {
      options.pack = *SassPack::Open(PackPath());
    }
    return options;
  }
  CudaDevice::Options WithoutNvrtc() const {
    CudaDevice::Options options = Options();
    options.nvrtc = "/nowhere";
    return options;
  }
  // OK if the device computes x + addend.
  absl::Status Add(const CudaDevice::Options& options, double addend) {
    const auto device = CudaDevice::Create(options);
    if (!device.ok()) return device.status();
    const auto program = (*device)->Compile(AddProgram(addend));
    sources_ = (*device)->code_sources();
    if (!program.ok()) return program.status();
    FloatItem item(std::vector<float>(100, 1));
    const absl::Status status =
        (*device)->Run(**program, absl::MakeSpan(&item.item, 1));
    EXPECT_EQ(item.out, std::vector<float>(100, 1 + addend));
    return status;
  }

  FakeDriver fake_;
  CodeSources sources_;  // of the last Add()
  const testing::ScratchDirectory folder_;
};

TEST_F(Precompiled, ProgramsNeedNoNvrtc) {
  WritePack({80, 90});

  const absl::Status status = Add(WithoutNvrtc(), 1);

  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(fake_.Get(FakeKnob::kNumCompiles), 0);
  EXPECT_EQ(sources_.disk, 1);
  EXPECT_EQ(sources_.compiled, 0);
}

TEST_F(Precompiled, OthersAreRefusedWithoutNvrtc) {
  WritePack({90});

  const absl::Status status = Add(WithoutNvrtc(), 2);

  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(std::string(status.message()),
            "this server has no NVRTC to compile for its GPU, and this "
            "program was not precompiled");
}

TEST_F(Precompiled, ProgramsComeBeforeTheDiskAndNvrtc) {
  WritePack({90});

  EXPECT_TRUE(Add(Options(), 1).ok());

  EXPECT_EQ(fake_.Get(FakeKnob::kNumCompiles), 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path() + "/cache"));
}

TEST_F(Precompiled, TheDiskComesBeforeNvrtc) {
  WritePack({90});
  EXPECT_TRUE(Add(Options(), 2).ok());
  EXPECT_EQ(fake_.Get(FakeKnob::kNumCompiles), 1);
  EXPECT_EQ(sources_.compiled, 1);

  EXPECT_TRUE(Add(Options(), 2).ok());
  EXPECT_EQ(sources_.disk, 1);
  EXPECT_EQ(sources_.compiled, 0);
  EXPECT_TRUE(Add(WithoutNvrtc(), 2).ok());

  EXPECT_EQ(fake_.Get(FakeKnob::kNumCompiles), 1);
}

TEST_F(Precompiled, AnotherNvrtcCompilesAgainWhatIsOnTheDisk) {
  EXPECT_TRUE(Add(Options(), 1).ok());
  fake_.Set(FakeKnob::kNvrtcMajor, 14);

  EXPECT_TRUE(Add(Options(), 1).ok());
  EXPECT_TRUE(Add(Options(), 1).ok());

  EXPECT_EQ(fake_.Get(FakeKnob::kNumCompiles), 2);
}

TEST_F(Precompiled, CodeOfAnOlderDeviceOfTheGenerationIsTaken) {
  WritePack({80, 90});
  fake_.Set(FakeKnob::kArchitecture, 87);

  EXPECT_TRUE(Add(WithoutNvrtc(), 1).ok());
}

TEST_F(Precompiled, CodeOfADeviceThatNvrtcDoesNotKnowIsTaken) {
  WritePack({110});
  fake_.Set(FakeKnob::kArchitecture, 110);

  EXPECT_TRUE(Add(Options(), 1).ok());
  EXPECT_EQ(Add(Options(), 2).code(), absl::StatusCode::kFailedPrecondition);
}

// What cannot be had from the pack, NVRTC compiles; and without NVRTC the
// reason is told.
TEST_F(Precompiled, CodeThatIsOfNoUseIsCompiled) {
  struct Case {
    const char* name;
    std::function<void()> spoil;
    const char* message;
  };
  const Case kCases[] = {
      {"none", [&] { std::filesystem::remove(PackPath()); },
       "NVRTC not found, tried /nowhere"},
      {"empty", [&] { WritePack({}); }, "has code for [], not for sm_90"},
      {"for other devices", [&] { WritePack({80, 100}); },
       "has code for [80, 100], not for sm_90"},
      {"damaged", [&] { DamageCode(); }, " is damaged"},
      {"not for this driver", [&] { fake_.Set(FakeKnob::kFailLoadAt, 1); },
       "1 precompiled parts of programs (NVRTC 13.0, sm_90), but they "
       "cannot be used: cuda:0: cuModuleLoadData"},
  };
  for (const Case& test : kCases) {
    SCOPED_TRACE(test.name);
    for (const bool has_nvrtc : {true, false}) {
      fake_.Reset();
      std::filesystem::remove_all(folder_.path() + "/cache");
      WritePack({90});
      test.spoil();

      const absl::Status status =
          Add(has_nvrtc ? Options() : WithoutNvrtc(), 1);

      if (has_nvrtc) {
        EXPECT_TRUE(status.ok()) << status;
        EXPECT_EQ(fake_.Get(FakeKnob::kNumCompiles), 1);
      } else {
        EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
        EXPECT_THAT(std::string(status.message()), HasSubstr(test.message));
      }
    }
  }
}

TEST_F(Precompiled, TheDescriptionSaysWhatCanBeCompiled) {
  WritePack({90});

  EXPECT_THAT(
      (*CudaDevice::Create(Options()))->description(),
      HasSubstr(", NVRTC 13.0, 1 precompiled parts of programs (NVRTC 13.0, "
                "sm_90)"));
  EXPECT_THAT((*CudaDevice::Create(WithoutNvrtc()))->description(),
              HasSubstr(", NVRTC not found, tried /nowhere"));
}

}  // namespace
}  // namespace actserve
