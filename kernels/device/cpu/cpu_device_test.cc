#include "kernels/device/cpu/cpu_device.h"

#include <filesystem>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/testing/programs.h"
#include "kernels/device/testing/scratch_directory.h"

namespace actserve {
namespace {

using ::actserve::testing::FloatItem;
using ::actserve::testing::SpikyProgram;
using ::testing::HasSubstr;

std::unique_ptr<CpuDevice> MakeDevice(const CpuDevice::Options& options = {}) {
  auto device = CpuDevice::Create(options);
  EXPECT_TRUE(device.ok()) << device.status();
  return *std::move(device);
}

TEST(CpuDevice, SaysWhatItIs) {
  const auto device = MakeDevice({.num_threads = 1});

  EXPECT_EQ(device->name(), "cpu");
  EXPECT_THAT(device->description(), HasSubstr(", 1 thread, AVX"));
}

TEST(CpuDevice, TimesComputingAloneIfAsked) {
  const auto device = MakeDevice();
  const auto program = device->Compile(SpikyProgram());
  ASSERT_TRUE(program.ok()) << program.status();
  FloatItem spikes({0.2f, 0.7f, 1.2f, 1.7f});

  ASSERT_TRUE(device->Run(**program, absl::MakeSpan(&spikes.item, 1)).ok());
  EXPECT_EQ(spikes.item.stages.compute, absl::ZeroDuration());
  spikes.item.time_stages = true;
  ASSERT_TRUE(device->Run(**program, absl::MakeSpan(&spikes.item, 1)).ok());

  EXPECT_GT(spikes.item.stages.compute, absl::ZeroDuration());
  EXPECT_EQ(spikes.item.stages.copy_in, absl::ZeroDuration());
  EXPECT_EQ(spikes.item.stages.copy_out, absl::ZeroDuration());
}

TEST(CpuDevice, RefusesOptionsOutOfRange) {
  for (const CpuDevice::Options& options :
       {CpuDevice::Options{.num_threads = -1},
        CpuDevice::Options{.max_programs = 0},
        CpuDevice::Options{.min_elements_per_task = 1000}}) {
    EXPECT_EQ(CpuDevice::Create(options).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(CpuDevice, RefusesAProcessorWithoutFma) {
  const absl::Status status = CpuDevice::Create({.cpu = "x86-64-v2"}).status();

  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("fused multiply-add"));
}

TEST(CpuDevice, KeepsProcessorsApartOnDisk) {
  const testing::ScratchDirectory directory;
  for (const char* cpu : {"", "haswell"}) {
    const auto device =
        MakeDevice({.cache_directory = directory.path(), .cpu = cpu});
    EXPECT_TRUE(device->Compile(SpikyProgram()).ok());
  }

  int num_files = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(directory.path())) {
    num_files += entry.is_regular_file();
  }

  EXPECT_EQ(num_files, 2);
}

TEST(CpuDevice, TellsWhereItsCodeCameFrom) {
  const testing::ScratchDirectory directory;
  const auto first = MakeDevice({.cache_directory = directory.path()});
  const auto second = MakeDevice({.cache_directory = directory.path()});

  EXPECT_TRUE(first->Compile(SpikyProgram()).ok());
  EXPECT_TRUE(second->Compile(SpikyProgram()).ok());
  EXPECT_TRUE(second->Compile(SpikyProgram()).ok());  // it is in memory

  EXPECT_EQ(first->code_sources().compiled, 1);
  EXPECT_EQ(first->code_sources().disk, 0);
  EXPECT_EQ(second->code_sources().compiled, 0);
  EXPECT_EQ(second->code_sources().disk, 1);
}

}  // namespace
}  // namespace actserve
