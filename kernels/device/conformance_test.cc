// DeviceConformance, the behavior: what every device does alike. The numbers
// are in conformance_numbers_test.cc.

#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/activation/activation.h"
#include "kernels/device/device.h"
#include "kernels/device/testing/devices.h"
#include "kernels/device/testing/programs.h"
#include "kernels/device/testing/reference.h"
#include "kernels/device/testing/scratch_directory.h"

namespace actserve {
namespace {

using ::actserve::testing::AddProgram;
using ::actserve::testing::AllDevices;
using ::actserve::testing::DeviceConfig;
using ::actserve::testing::DeviceRow;
using ::actserve::testing::Difference;
using ::actserve::testing::FloatItem;
using ::actserve::testing::RandomTensor;
using ::actserve::testing::Results;
using ::actserve::testing::RunOnDevice;
using ::actserve::testing::SlopeProgram;
using ::actserve::testing::SpikyProgram;
using ::testing::ElementsAre;

class DeviceConformance : public ::testing::TestWithParam<DeviceRow> {
 protected:
  void SetUp() override {
    const std::string reason = GetParam().why_not();
    if (!reason.empty()) GTEST_SKIP() << reason;
  }

  absl::StatusOr<std::unique_ptr<Device>> Create(const DeviceConfig& config) {
    return GetParam().ways[0].make(config);
  }
  std::unique_ptr<Device> MakeDevice(const DeviceConfig& config = {}) {
    auto device = Create(config);
    EXPECT_TRUE(device.ok()) << device.status();
    return device.ok() ? *std::move(device) : nullptr;
  }
};

INSTANTIATE_TEST_SUITE_P(Devices, DeviceConformance,
                         ::testing::ValuesIn(AllDevices()),
                         [](const auto& info) { return info.param.name; });

TEST_P(DeviceConformance, RunsSpiky) {
  const auto device = MakeDevice();
  const auto program = device->Compile(SpikyProgram());
  ASSERT_TRUE(program.ok()) << program.status();
  FloatItem spikes({0.2f, 0.7f, 1.2f, 1.7f});

  ASSERT_TRUE(device->Run(**program, absl::MakeSpan(&spikes.item, 1)).ok());

  EXPECT_THAT(spikes.out, ElementsAre(0.2f, 0.0f, 0.20000005f, 0.0f));
}

TEST_P(DeviceConformance, RunsEachItemWithItsOwnParameters) {
  const auto device = MakeDevice();
  const auto program = device->Compile(SlopeProgram());
  ASSERT_TRUE(program.ok()) << program.status();
  FloatItem one({1, 2, 3});
  FloatItem two({10, 20});
  FloatItem none({});
  one.item.parameters = {0.5};
  two.item.parameters = {2};
  none.item.parameters = {2};
  std::vector<WorkItem> items = {one.item, two.item, none.item};

  ASSERT_TRUE(device->Run(**program, absl::MakeSpan(items)).ok());

  EXPECT_THAT(one.out, ElementsAre(0.5f, 1, 1.5f));
  EXPECT_THAT(two.out, ElementsAre(20, 40));
  EXPECT_THAT(items[0].sums, ElementsAre(6));
  EXPECT_THAT(items[1].sums, ElementsAre(30));
  EXPECT_THAT(items[2].sums, ElementsAre(0));
}

TEST_P(DeviceConformance, RefusesItemsThatDoNotFit) {
  const auto device = MakeDevice();
  const auto program = device->Compile(SlopeProgram());
  ASSERT_TRUE(program.ok()) << program.status();
  struct Case {
    const char* message;
    void (*spoil)(FloatItem&);
  };
  const Case kCases[] = {
      {"num_elements -1 is negative",
       [](FloatItem& f) { f.item.num_elements = -1; }},
      {"tensor inputs: 0 given, but the program has 1",
       [](FloatItem& f) { f.item.inputs.clear(); }},
      {"parameters: 2 given, but the program has 1",
       [](FloatItem& f) { f.item.parameters.push_back(1); }},
      {"outputs: 2 given, but the program has 1",
       [](FloatItem& f) { f.item.outputs.push_back(nullptr); }},
      {"input 0: 7 bytes for 2 elements, want 8",
       [](FloatItem& f) { f.fragments[0].size_bytes = 7; }},
      {"input 0: 8 bytes for 3 elements, want 12",
       [](FloatItem& f) { f.item.num_elements = 3; }},
      {"output 0 is null", [](FloatItem& f) { f.item.outputs[0] = nullptr; }},
  };
  for (const Case& test : kCases) {
    SCOPED_TRACE(test.message);
    FloatItem item({1, 2});
    item.item.parameters = {1};
    test.spoil(item);

    const absl::Status status =
        device->Run(**program, absl::MakeSpan(&item.item, 1));

    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(std::string(status.message()), test.message);
  }
}

TEST_P(DeviceConformance, CompilesAProgramOnceForAllThatAsk) {
  const auto device = MakeDevice();
  const LoweredProgram program = AddProgram(1);
  std::vector<std::shared_ptr<const Program>> found(16);
  std::vector<std::thread> threads;

  for (auto& slot : found) {
    threads.emplace_back([&] { slot = *device->Compile(program); });
  }
  for (std::thread& thread : threads) thread.join();

  for (const auto& slot : found) EXPECT_EQ(slot, found[0]);
}

TEST_P(DeviceConformance, CompilesDifferentProgramsAtOnce) {
  const auto device = MakeDevice();
  std::vector<std::thread> threads;

  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 4; ++i) {
        const Results results = RunOnDevice(*device, AddProgram(4 * t + i),
                                            {std::string(400, '\0')}, {});
        float y;
        std::memcpy(&y, results.outputs[0].data() + 396, 4);
        EXPECT_EQ(y, 4 * t + i);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// A program that the device still has is the same object when it is compiled
// again.
TEST_P(DeviceConformance, StopsACompilationThatNobodyWants) {
  const auto device = MakeDevice();
  const absl::Status why = absl::CancelledError("nobody waits");

  const auto stopped =
      device->Compile(SpikyProgram(), StopToken([&] { return why; }));

  EXPECT_EQ(stopped.status(), why);
  EXPECT_TRUE(device->Compile(SpikyProgram()).ok());
}

TEST_P(DeviceConformance, ForgetsTheProgramsUsedLongestAgo) {
  const auto device = MakeDevice({.max_programs = 2});
  const auto one = device->Compile(AddProgram(1));
  const auto two = device->Compile(AddProgram(2));
  EXPECT_EQ(*device->Compile(AddProgram(1)), *one);

  const auto three = device->Compile(AddProgram(3));

  EXPECT_EQ(*device->Compile(AddProgram(1)), *one);
  EXPECT_NE(*device->Compile(AddProgram(2)), *two);
  FloatItem item({1});
  EXPECT_TRUE(device->Run(**two, absl::MakeSpan(&item.item, 1)).ok());
  EXPECT_THAT(item.out, ElementsAre(3));
}

TEST_P(DeviceConformance, BoundsTheCodeItKeeps) {
  const auto device = MakeDevice({.max_code_bytes = 1});
  const auto one = device->Compile(AddProgram(1));
  const auto two = device->Compile(AddProgram(2));

  EXPECT_EQ(*device->Compile(AddProgram(2)), *two);
  EXPECT_NE(*device->Compile(AddProgram(1)), *one);
}

TEST_P(DeviceConformance, ProgramsOutliveIt) {
  auto device = MakeDevice();
  auto program = device->Compile(AddProgram(1));

  device.reset();

  ASSERT_TRUE(program.ok());
  program->reset();
}

TEST_P(DeviceConformance, IsHealthyAndNamed) {
  const auto device = MakeDevice();
  bool called = false;

  device->OnLost([&](const absl::Status&) { called = true; });

  EXPECT_TRUE(device->health().ok());
  EXPECT_FALSE(called);
  EXPECT_FALSE(device->name().empty());
  EXPECT_FALSE(device->description().empty());
}

TEST_P(DeviceConformance, TimesItsWorkIfAsked) {
  const auto device = MakeDevice();
  const auto program = device->Compile(SpikyProgram());
  ASSERT_TRUE(program.ok()) << program.status();
  FloatItem spikes({0.2f, 0.7f, 1.2f, 1.7f});

  ASSERT_TRUE(device->Run(**program, absl::MakeSpan(&spikes.item, 1)).ok());
  EXPECT_EQ(spikes.item.stages.compute, absl::ZeroDuration());
  spikes.item.time_stages = true;
  ASSERT_TRUE(device->Run(**program, absl::MakeSpan(&spikes.item, 1)).ok());

  EXPECT_GT(spikes.item.stages.compute, absl::ZeroDuration());
  EXPECT_LT(spikes.item.stages.compute, absl::Seconds(10));
}

TEST_P(DeviceConformance, RunsAtOnceOnManyThreads) {
  const auto device = MakeDevice();
  const auto program = device->Compile(SlopeProgram());
  ASSERT_TRUE(program.ok()) << program.status();
  std::vector<std::thread> threads;

  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        FloatItem item(std::vector<float>(t * 1000 + i, t));
        item.item.parameters = {0.5};
        const absl::Status status =
            device->Run(**program, absl::MakeSpan(&item.item, 1));
        ASSERT_TRUE(status.ok()) << status;
        ASSERT_EQ(item.out, std::vector<float>(item.in.size(), 0.5f * t));
        ASSERT_THAT(item.item.sums, ElementsAre(double(t) * item.in.size()));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// prelu of `dtype`: forward, and backward with respect to both arguments.
std::pair<LoweredProgram, LoweredProgram> PreluPrograms(DType dtype) {
  const auto prelu = Activation::Create(
      "def prelu(x, slope=0.25):\n  return x if x > 0 else slope * x\n",
      Activation::Options(), nullptr);
  EXPECT_TRUE(prelu.ok()) << prelu.status();
  auto forward = (*prelu)->LowerForward(dtype, {});
  auto backward = (*prelu)->LowerBackward(dtype, {"x", "slope"});
  EXPECT_TRUE(forward.ok() && backward.ok());
  return {*std::move(forward), *std::move(backward)};
}

// Runs `program` on tensors that are strings of bytes, after what is resident
// in `item`.
Results RunAfterResident(Device& device, const LoweredProgram& program,
                         const std::vector<std::string>& tensors,
                         WorkItem& item) {
  std::vector<Fragment> fragments;
  for (const std::string& tensor : tensors) {
    fragments.push_back(
        {reinterpret_cast<const std::byte*>(tensor.data()), tensor.size()});
  }
  for (const Fragment& fragment : fragments) {
    item.inputs.push_back(absl::MakeConstSpan(&fragment, 1));
  }
  item.num_elements = tensors[0].size() / ItemSizeBytes(program.storage);
  item.parameters = {0.25};
  Results results;
  results.outputs = {std::string(tensors[0].size(), '?')};
  item.outputs = {reinterpret_cast<std::byte*>(results.outputs[0].data())};
  const auto compiled = device.Compile(program);
  EXPECT_TRUE(compiled.ok()) << compiled.status();
  const absl::Status status = device.Run(**compiled, absl::MakeSpan(&item, 1));
  EXPECT_TRUE(status.ok()) << status;
  results.sums = item.sums;
  return results;
}

TEST_P(DeviceConformance, KeptInputsGiveTheBitsOfInputs) {
  for (DType dtype : {DType::kFloat16, DType::kFloat32, DType::kFloat64}) {
    const auto [forward, backward] = PreluPrograms(dtype);
    for (int64_t count : {0, 1, 5000, 300'003}) {
      SCOPED_TRACE(absl::StrCat(std::string(DTypeName(dtype)), ", ", count));
      const auto device = MakeDevice();
      const std::string x = RandomTensor(dtype, count, 1);
      const std::string dy = RandomTensor(dtype, count, 2);
      WorkItem first;
      first.keep_inputs = true;
      RunAfterResident(*device, forward, {x}, first);
      if (device->name() == "cpu") {
        EXPECT_EQ(first.kept, nullptr);
        GTEST_SKIP() << "the CPU computes where the tensors lie: keeps none";
      }
      ASSERT_NE(first.kept, nullptr);

      WorkItem second;
      second.resident = first.kept;
      const Results got = RunAfterResident(*device, backward, {dy}, second);

      EXPECT_EQ(Difference(backward, got,
                           RunOnDevice(*device, backward, {x, dy}, {0.25})),
                "");
    }
  }
}

class DeviceConformanceOnDisk : public DeviceConformance {
 protected:
  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const auto& entry :
         std::filesystem::directory_iterator(directory_.path())) {
      files.push_back(entry.path());
    }
    return files;
  }
  float AddOneTo(float x) {
    const auto device = MakeDevice({.cache_directory = directory_.path()});
    const Results results = RunOnDevice(
        *device, AddProgram(1),
        {std::string(reinterpret_cast<const char*>(&x), sizeof(x))}, {});
    float y;
    std::memcpy(&y, results.outputs[0].data(), sizeof(y));
    return y;
  }

  const testing::ScratchDirectory directory_;
};

INSTANTIATE_TEST_SUITE_P(Devices, DeviceConformanceOnDisk,
                         ::testing::ValuesIn(AllDevices()),
                         [](const auto& info) { return info.param.name; });

TEST_P(DeviceConformanceOnDisk, ServesTheNextProcess) {
  EXPECT_EQ(AddOneTo(1), 2);
  ASSERT_EQ(Files().size(), 1);
  const auto written = std::filesystem::last_write_time(Files()[0]);
  struct stat before;
  ASSERT_EQ(stat(Files()[0].c_str(), &before), 0);

  EXPECT_EQ(AddOneTo(2), 3);

  // The same file: read, and its time of use noted, but not written again.
  struct stat after;
  ASSERT_EQ(Files().size(), 1);
  ASSERT_EQ(stat(Files()[0].c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
  EXPECT_GE(std::filesystem::last_write_time(Files()[0]), written);
}

TEST_P(DeviceConformanceOnDisk, CompilesAgainWhatIsDamaged) {
  EXPECT_EQ(AddOneTo(1), 2);
  std::fstream file(Files()[0]);
  file.seekp(200);
  file.put('!');
  file.close();

  EXPECT_EQ(AddOneTo(2), 3);
  EXPECT_EQ(AddOneTo(3), 4);
}

TEST_P(DeviceConformanceOnDisk, IsRefusedIfOthersMayEnterIt) {
  ASSERT_EQ(chmod(directory_.path().c_str(), 0770), 0);

  EXPECT_EQ(Create({.cache_directory = directory_.path()}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace actserve
