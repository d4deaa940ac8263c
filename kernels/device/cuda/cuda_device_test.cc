// The CUDA device on its worst days, over the fake driver. What it does on good
// ones is in DeviceConformance.

#include "kernels/device/cuda/cuda_device.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/cuda/testing/fake_driver.h"
#include "kernels/device/testing/programs.h"
#include "kernels/device/testing/reference.h"
#include "kernels/device/testing/scratch_directory.h"

namespace actserve {
namespace {

using ::actserve::testing::AddProgram;
using ::actserve::testing::FakeDriver;
using ::actserve::testing::FakeKnob;
using ::actserve::testing::FloatItem;
using ::actserve::testing::MakeProgram;
using ::actserve::testing::RandomTensor;
using ::actserve::testing::RunOnDevice;
using ::actserve::testing::SlopeProgram;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Programs compile once for all tests here.
const std::string& CacheDirectory() {
  static const testing::ScratchDirectory directory;
  return directory.path();
}

class CudaDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = FakeDriver::WhyNoKernels();
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
  void TearDown() override { EXPECT_EQ(fake_.Get(FakeKnob::kNumFaults), 0); }

  static CudaDevice::Options Options() {
    CudaDevice::Options options;
    options.driver = FakeDriver::Path();
    options.nvrtc = FakeDriver::Path();
    options.cache_directory = CacheDirectory();
    options.num_staging_slots = 4;
    options.staging_bytes = ChunkCutter::kMinRegionBytes;
    // Tests count what they cause.
    options.self_test = false;
    options.heartbeat = false;
    return options;
  }
  static std::unique_ptr<CudaDevice> MakeDevice(
      const CudaDevice::Options& options = Options()) {
    auto device = CudaDevice::Create(options);
    EXPECT_TRUE(device.ok()) << device.status();
    return *std::move(device);
  }
  static std::shared_ptr<const Program> Compile(CudaDevice& device,
                                                const LoweredProgram& program) {
    auto compiled = device.Compile(program);
    EXPECT_TRUE(compiled.ok()) << compiled.status();
    return compiled.ok() ? *compiled : nullptr;
  }
  // x + 1 for so many elements.
  static absl::Status RunOnes(CudaDevice& device, const Program& program,
                              int64_t num_elements = 1000) {
    FloatItem item(std::vector<float>(num_elements, 1));
    absl::Status status = device.Run(program, absl::MakeSpan(&item.item, 1));
    if (status.ok()) {
      EXPECT_EQ(item.out, std::vector<float>(num_elements, 2));
    }
    return status;
  }

  FakeDriver fake_;
};

TEST_F(CudaDeviceTest, SaysWhatItIs) {
  const auto device = MakeDevice();

  EXPECT_EQ(device->name(), "cuda:0");
  EXPECT_THAT(device->description(), HasSubstr("Fake GPU, sm_90"));
}

TEST_F(CudaDeviceTest, SaysWhyItCannotBeMade) {
  struct Case {
    const char* message;
    absl::StatusCode code;
    std::function<void(FakeDriver&, CudaDevice::Options&)> spoil;
  };
  const Case kCases[] = {
      {"no CUDA driver here", absl::StatusCode::kUnimplemented,
       [](auto&, auto& options) { options.driver = "/nowhere"; }},
      {"finds no device", absl::StatusCode::kNotFound,
       [](auto& fake, auto&) { fake.Set(FakeKnob::kDevices, 0); }},
      {"want one for 12.0", absl::StatusCode::kFailedPrecondition,
       [](auto& fake, auto&) { fake.Set(FakeKnob::kVersion, 11080); }},
      {"counted from 0", absl::StatusCode::kInvalidArgument,
       [](auto&, auto& options) { options.ordinal = 1; }},
      {"NVRTC", absl::StatusCode::kFailedPrecondition,
       [](auto&, auto& options) { options.nvrtc = "/nowhere"; }},
      {"11.0", absl::StatusCode::kFailedPrecondition,
       [](auto& fake, auto&) { fake.Set(FakeKnob::kNvrtcMajor, 11); }},
      {"compiles nothing that runs on sm_110",
       absl::StatusCode::kFailedPrecondition,
       [](auto& fake, auto&) { fake.Set(FakeKnob::kArchitecture, 110); }},
      {"out of device memory", absl::StatusCode::kResourceExhausted,
       [](auto& fake, auto&) { fake.Set(FakeKnob::kFailPinAt, 5); }},
      {"num_staging_slots 0", absl::StatusCode::kInvalidArgument,
       [](auto&, auto& options) { options.num_staging_slots = 0; }},
      {"staging_bytes 1000", absl::StatusCode::kInvalidArgument,
       [](auto&, auto& options) { options.staging_bytes = 1000; }},
      {"max_programs 0", absl::StatusCode::kInvalidArgument,
       [](auto&, auto& options) { options.max_programs = 0; }},
      {"max_memory_bytes -1", absl::StatusCode::kInvalidArgument,
       [](auto&, auto& options) { options.max_memory_bytes = -1; }},
      {"watchdog 0", absl::StatusCode::kInvalidArgument,
       [](auto&, auto& options) { options.watchdog = absl::ZeroDuration(); }},
  };
  for (const Case& test : kCases) {
    SCOPED_TRACE(test.message);
    fake_.Reset();
    CudaDevice::Options options = Options();
    test.spoil(fake_, options);

    const absl::Status status = CudaDevice::Create(options).status();

    EXPECT_EQ(status.code(), test.code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.message));
  }
}

TEST_F(CudaDeviceTest, TakesCodeOfAnOlderDeviceOfItsGeneration) {
  fake_.Set(FakeKnob::kArchitecture, 87);
  const auto device = MakeDevice();

  EXPECT_TRUE(RunOnes(*device, *Compile(*device, AddProgram(1))).ok());
}

TEST_F(CudaDeviceTest, GivesBackAllThatItTook) {
  // Lost devices of other tests gave nothing back.
  const int64_t used_bytes = fake_.Get(FakeKnob::kUsedBytes);
  const int64_t num_objects = fake_.Get(FakeKnob::kNumObjects);
  {
    const auto device = MakeDevice();
    const auto program = Compile(*device, AddProgram(1));
    ASSERT_TRUE(RunOnes(*device, *program, 300'000).ok());
    EXPECT_EQ(device->used_memory_bytes(), 0);
    EXPECT_GT(fake_.Get(FakeKnob::kNumObjects), num_objects);
  }

  EXPECT_EQ(fake_.Get(FakeKnob::kUsedBytes), used_bytes);
  EXPECT_EQ(fake_.Get(FakeKnob::kNumObjects), num_objects);
}

TEST_F(CudaDeviceTest, RunsManyItemsInOneLaunchAndTwoCopies) {
  const auto device = MakeDevice();
  const auto program = Compile(*device, SlopeProgram());
  std::vector<std::unique_ptr<FloatItem>> owners;
  std::vector<WorkItem> items;
  for (int i = 0; i < 64; ++i) {
    owners.push_back(
        std::make_unique<FloatItem>(std::vector<float>(100 + i, 2)));
    owners.back()->item.parameters = {i + 0.5};
    items.push_back(owners.back()->item);
  }

  ASSERT_TRUE(device->Run(*program, absl::MakeSpan(items)).ok());

  EXPECT_EQ(device->num_launches(), 1);
  EXPECT_EQ(fake_.Get(FakeKnob::kNumCopies), 2);
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(owners[i]->out, std::vector<float>(100 + i, 2 * i + 1));
    EXPECT_THAT(items[i].sums, ElementsAre(200 + 2 * i));
  }
}

TEST_F(CudaDeviceTest, TimesEveryStage) {
  const auto device = MakeDevice();
  const auto program = Compile(*device, SlopeProgram());
  FloatItem item(std::vector<float>(100'000, 1));
  item.item.parameters = {1};
  item.item.time_stages = true;

  ASSERT_TRUE(device->Run(*program, absl::MakeSpan(&item.item, 1)).ok());

  EXPECT_GT(item.item.stages.copy_in, absl::ZeroDuration());
  EXPECT_GT(item.item.stages.compute, absl::ZeroDuration());
  EXPECT_GT(item.item.stages.copy_out, absl::ZeroDuration());
}

TEST_F(CudaDeviceTest, FillsATableOncePerParameters) {
  Graph graph;
  graph.inputs = {"x"};
  graph.parameters = {{"slope", 1}};
  graph.outputs = {
      {"y", graph.Add(Op::kMul, graph.Input(0), graph.ParameterNode(0))}};
  const LoweredProgram program =
      MakeProgram("slope", std::move(graph), DType::kBFloat16);
  const auto device = MakeDevice();
  const std::vector<std::string> inputs = {
      RandomTensor(DType::kBFloat16, 100, 1)};

  for (double slope : {2.0, 3.0, 2.0, 3.0}) {
    RunOnDevice(*device, program, inputs, {slope});
  }

  EXPECT_EQ(device->num_launches(), 4 + 2);
  EXPECT_EQ(device->used_memory_bytes(), 2 * 65536 * 2);
}

// Rows.

// x / rowsum(x), or what a scan of x gives.
LoweredProgram RowProgram(bool scans) {
  LoweredProgram program;
  Graph& graph = program.graph;
  graph.inputs = {"x"};
  const NodeId x = graph.Input(0);
  graph.outputs = {
      {"y", scans ? graph.Add(Op::kRowScan, x, x)
                  : graph.Add(Op::kDiv, x, graph.Add(Op::kRowSum, x))}};
  program.program_id = scans ? "test:scan" : "test:share";
  return program;
}

// Rows of so many ones, all in one item.
absl::Status RunShares(CudaDevice& device, const Program& program,
                       int64_t row_size, int64_t num_elements) {
  FloatItem item(std::vector<float>(num_elements, 1));
  item.item.rows = {.size = row_size};
  absl::Status status = device.Run(program, absl::MakeSpan(&item.item, 1));
  if (status.ok()) {
    EXPECT_EQ(item.out, std::vector<float>(num_elements,
                                           1 / static_cast<float>(row_size)));
  }
  return status;
}

TEST_F(CudaDeviceTest, RunsManyItemsOfRowsInOneLaunchAndTwoCopies) {
  const auto device = MakeDevice();
  const auto program = Compile(*device, RowProgram(/*scans=*/false));
  std::vector<std::unique_ptr<FloatItem>> owners;
  std::vector<WorkItem> items;
  for (int64_t size = 1; size <= 64; ++size) {
    owners.push_back(
        std::make_unique<FloatItem>(std::vector<float>(3 * size, 1)));
    owners.back()->item.rows = {.size = size};
    items.push_back(owners.back()->item);
  }

  ASSERT_TRUE(device->Run(*program, absl::MakeSpan(items)).ok());

  EXPECT_EQ(device->num_launches(), 1);
  EXPECT_EQ(fake_.Get(FakeKnob::kNumCopies), 2);
  for (int64_t size = 1; size <= 64; ++size) {
    EXPECT_EQ(owners[size - 1]->out,
              std::vector<float>(3 * size, 1 / static_cast<float>(size)));
  }
}

TEST_F(CudaDeviceTest, TimesEveryStageOfARowThatFillsManySlots) {
  const auto device = MakeDevice();
  const auto program = Compile(*device, RowProgram(/*scans=*/false));
  FloatItem item(std::vector<float>(300'000, 1));
  item.item.rows = {.size = 300'000};
  item.item.time_stages = true;

  ASSERT_TRUE(device->Run(*program, absl::MakeSpan(&item.item, 1)).ok());

  EXPECT_GT(item.item.stages.copy_in, absl::ZeroDuration());
  EXPECT_GT(item.item.stages.compute, absl::ZeroDuration());
  EXPECT_GT(item.item.stages.copy_out, absl::ZeroDuration());
}

// One thread scans a row, and a kernel that takes long counts as hung: a client
// could lose the device for all others.
TEST_F(CudaDeviceTest, RefusesToScanRowsThatTakeLong) {
  const auto device = MakeDevice();
  const auto program = Compile(*device, RowProgram(/*scans=*/true));
  FloatItem item(std::vector<float>(kMaxMovedRow + 1, 1));
  item.item.rows = {.size = kMaxMovedRow + 1};

  const absl::Status status =
      device->Run(*program, absl::MakeSpan(&item.item, 1));

  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "rows of 4194305 elements, but a GPU sorts, scans and shifts rows "
            "of 4194304 at most");
}

TEST_F(CudaDeviceTest, SurvivesARowThatHasNoRoom) {
  CudaDevice::Options options = Options();
  options.max_memory_bytes = 2 << 20;
  const auto device = MakeDevice(options);
  const auto program = Compile(*device, RowProgram(/*scans=*/false));

  EXPECT_EQ(RunShares(*device, *program, 300'000, 300'000).code(),
            absl::StatusCode::kResourceExhausted);

  EXPECT_EQ(device->used_memory_bytes(), 0);
  EXPECT_TRUE(RunShares(*device, *program, 1000, 300'000).ok());
}

TEST_F(CudaDeviceTest, IsLostByAStickyErrorInsideOfALongRow) {
  const auto program = RowProgram(/*scans=*/false);
  for (int nth = 1; nth <= 3; ++nth) {
    SCOPED_TRACE(nth);
    const auto device = MakeDevice();
    const auto compiled = Compile(*device, program);
    fake_.Set(FakeKnob::kStickyAtLaunch, nth);

    EXPECT_EQ(RunShares(*device, *compiled, 300'000, 300'000).code(),
              absl::StatusCode::kUnavailable);

    EXPECT_FALSE(device->health().ok());
    fake_.Reset();
  }
}

// Out of memory: an error of one run, and not the end.

TEST_F(CudaDeviceTest, SurvivesAnyAllocationThatFails) {
  const auto device = MakeDevice();
  const auto program = Compile(*device, AddProgram(1));
  for (int nth = 1; nth <= 6; ++nth) {
    SCOPED_TRACE(nth);
    fake_.Set(FakeKnob::kFailAllocAt, nth);

    const absl::Status status = RunOnes(*device, *program, 300'000);

    EXPECT_EQ(status.code(), nth <= 5 ? absl::StatusCode::kResourceExhausted
                                      : absl::StatusCode::kOk)
        << status;
    EXPECT_EQ(device->used_memory_bytes(), 0);
    fake_.Set(FakeKnob::kFailAllocAt, 0);
    EXPECT_TRUE(RunOnes(*device, *program, 300'000).ok());
  }
  EXPECT_TRUE(device->health().ok());
}

TEST_F(CudaDeviceTest, KeepsToItsBudget) {
  CudaDevice::Options options = Options();
  options.max_memory_bytes = 100'000;
  const auto device = MakeDevice(options);
  const auto program = Compile(*device, AddProgram(1));

  const absl::Status status = RunOnes(*device, *program, 60'000);

  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the budget is 100000"));
  EXPECT_TRUE(RunOnes(*device, *program, 1000).ok());
}

// Resident tensors.

TEST_F(CudaDeviceTest, KeepsInputsUntilTheirLastOwnerGoes) {
  const auto device = MakeDevice();
  const auto program = Compile(*device, AddProgram(1));
  FloatItem item(std::vector<float>(1000, 1));
  item.item.keep_inputs = true;

  ASSERT_TRUE(device->Run(*program, absl::MakeSpan(&item.item, 1)).ok());

  ASSERT_NE(item.item.kept, nullptr);
  EXPECT_EQ(item.item.kept->num_tensors(), 1);
  EXPECT_EQ(item.item.kept->num_elements(), 1000);
  EXPECT_EQ(device->resident_bytes(), DevicePool::Padded(4000));
  item.item.kept.reset();
  EXPECT_EQ(device->resident_bytes(), 0);
  EXPECT_EQ(device->used_memory_bytes(), 0);
}

TEST_F(CudaDeviceTest, RunsWithoutKeepingWhatHasNoRoom) {
  CudaDevice::Options options = Options();
  options.max_resident_bytes = 5000;
  const auto device = MakeDevice(options);
  const auto program = Compile(*device, AddProgram(1));
  FloatItem first(std::vector<float>(1000, 1));
  FloatItem second(std::vector<float>(1000, 1));
  std::vector<WorkItem> items = {first.item, second.item};
  for (WorkItem& item : items) item.keep_inputs = true;

  ASSERT_TRUE(device->Run(*program, absl::MakeSpan(items)).ok());

  EXPECT_NE(items[0].kept, nullptr);
  EXPECT_EQ(items[1].kept, nullptr);
  EXPECT_EQ(second.out, std::vector<float>(1000, 2));
}

TEST_F(CudaDeviceTest, RefusesResidentTensorsThatAreNotItsOwnOrDoNotFit) {
  const auto device = MakeDevice();
  const auto program = Compile(*device, AddProgram(1));
  FloatItem item(std::vector<float>(1000, 1));
  item.item.keep_inputs = true;
  ASSERT_TRUE(device->Run(*program, absl::MakeSpan(&item.item, 1)).ok());
  FloatItem again(std::vector<float>(1000, 1));
  again.item.inputs.clear();
  again.item.resident = item.item.kept;
  ASSERT_TRUE(device->Run(*program, absl::MakeSpan(&again.item, 1)).ok());
  EXPECT_EQ(again.out, item.out);

  const auto other = MakeDevice();
  const auto other_program = Compile(*other, AddProgram(1));
  EXPECT_EQ(other->Run(*other_program, absl::MakeSpan(&again.item, 1)).code(),
            absl::StatusCode::kInvalidArgument);
  again.item.num_elements = 999;
  EXPECT_EQ(device->Run(*program, absl::MakeSpan(&again.item, 1)).code(),
            absl::StatusCode::kInvalidArgument);
}

// Compiling.

TEST_F(CudaDeviceTest, CompilesAgainWhatTheDriverDoesNotTake) {
  Compile(*MakeDevice(), AddProgram(1));
  const int64_t compiles = fake_.Get(FakeKnob::kNumCompiles);
  const auto device = MakeDevice();
  fake_.Set(FakeKnob::kFailLoadAt, 1);

  const auto program = Compile(*device, AddProgram(1));

  EXPECT_EQ(fake_.Get(FakeKnob::kNumCompiles), compiles + 1);
  EXPECT_TRUE(RunOnes(*device, *program).ok());
}

TEST_F(CudaDeviceTest, KeepsNothingOfAnErrorOfTheCompiler) {
  CudaDevice::Options options = Options();
  options.cache_directory = "";
  const auto device = MakeDevice(options);
  const LoweredProgram program = AddProgram(1);
  fake_.Set(FakeKnob::kFailCompileAt, 1);

  const absl::Status status = device->Compile(program).status();

  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("/tmp")));
  EXPECT_TRUE(device->Compile(program).ok());
}

TEST_F(CudaDeviceTest, CompilesOnceForAllThatAsk) {
  CudaDevice::Options options = Options();
  options.cache_directory = "";
  const auto device = MakeDevice(options);
  std::vector<std::thread> threads;

  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] { Compile(*device, AddProgram(1)); });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(fake_.Get(FakeKnob::kNumCompiles), 1);
}

// A new 16-bit function costs no more than its own arithmetic.
TEST_F(CudaDeviceTest, CompilesLookingUpOnceForAllPrograms) {
  struct Case {
    int64_t shared_table_min_elements;
    int num_look_ups;
  };
  // A chunk here has 131,072 elements at most.
  for (const Case& test : {Case{131'073, 1}, Case{131'072, 2}}) {
    SCOPED_TRACE(test.num_look_ups);
    CudaDevice::Options options = Options();
    options.cache_directory = "";
    options.shared_table_min_elements = test.shared_table_min_elements;
    const auto device = MakeDevice(options);
    fake_.Reset();

    Compile(*device, AddProgram(1, DType::kFloat16));
    EXPECT_EQ(fake_.Get(FakeKnob::kNumCompiles), 1 + test.num_look_ups);
    Compile(*device, AddProgram(2, DType::kFloat16));
    EXPECT_EQ(fake_.Get(FakeKnob::kNumCompiles), 2 + test.num_look_ups);
  }
}

// A device that is lost.

TEST_F(CudaDeviceTest, IsLostByAStickyError) {
  const auto device = MakeDevice();
  const auto program = Compile(*device, AddProgram(1));
  std::vector<std::string> told;
  device->OnLost(
      [&](const absl::Status& why) { told.emplace_back(why.message()); });
  fake_.Set(FakeKnob::kStickyAtLaunch, 2);
  ASSERT_TRUE(RunOnes(*device, *program).ok());

  const absl::Status status = RunOnes(*device, *program);

  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(device->health(), status);
  EXPECT_THAT(told, ElementsAre(std::string(status.message())));
  EXPECT_EQ(RunOnes(*device, *program).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(device->Compile(AddProgram(2)).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(CudaDeviceTest, IsLostByAKernelThatHangs) {
  CudaDevice::Options options = Options();
  options.watchdog = absl::Milliseconds(100);
  const auto device = MakeDevice(options);
  const auto program = Compile(*device, AddProgram(1));
  std::atomic<bool> told = false;
  device->OnLost([&](const absl::Status&) { told = true; });
  fake_.Set(FakeKnob::kHangAtLaunch, 1);

  const absl::Status status = RunOnes(*device, *program, 300'000);

  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(std::string(status.message()),
            "cuda:0 is lost: a kernel did not end in 100ms");
  EXPECT_TRUE(told);
}

TEST_F(CudaDeviceTest, LetsNobodyWaitForALostDevice) {
  CudaDevice::Options options = Options();
  options.watchdog = absl::Milliseconds(100);
  options.num_staging_slots = 1;
  const auto device = MakeDevice(options);
  const auto program = Compile(*device, AddProgram(1));
  fake_.Set(FakeKnob::kHangAtLaunch, 1);
  std::vector<std::thread> threads;

  // One hangs, the others wait for its slot.
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      EXPECT_EQ(RunOnes(*device, *program, 100'000).code(),
                absl::StatusCode::kUnavailable);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(CudaDeviceTest, IsLostWhileItFillsATable) {
  CudaDevice::Options options = Options();
  options.watchdog = absl::Milliseconds(100);
  const auto device = MakeDevice(options);
  const LoweredProgram lowered = AddProgram(1, DType::kFloat16);
  const auto program = Compile(*device, lowered);
  fake_.Set(FakeKnob::kHangAtLaunch, 1);
  const std::string input = RandomTensor(DType::kFloat16, 10, 1);
  std::string output(input.size(), '\0');
  const Fragment fragment = {reinterpret_cast<const std::byte*>(input.data()),
                             input.size()};
  WorkItem item;
  item.inputs = {absl::MakeConstSpan(&fragment, 1)};
  item.outputs = {reinterpret_cast<std::byte*>(output.data())};
  item.num_elements = 10;

  const absl::Status status = device->Run(*program, absl::MakeSpan(&item, 1));

  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
}

TEST_F(CudaDeviceTest, KeepsInputsOfNoElements) {
  const auto device = MakeDevice();
  const auto program = Compile(*device, AddProgram(1));
  FloatItem item({});
  item.item.keep_inputs = true;

  const absl::Status status =
      device->Run(*program, absl::MakeSpan(&item.item, 1));

  EXPECT_TRUE(status.ok()) << status;
  ASSERT_NE(item.item.kept, nullptr);
  EXPECT_EQ(item.item.kept->num_elements(), 0);
  EXPECT_EQ(device->resident_bytes(), 0);
}

CudaDevice::Options WithSelfTest(CudaDevice::Options options) {
  options.self_test = true;
  options.watchdog = absl::Milliseconds(200);
  return options;
}

TEST_F(CudaDeviceTest, TestsItself) {
  const auto device = MakeDevice(WithSelfTest(Options()));

  // One in float32; a table in bfloat16 and one that reads it.
  EXPECT_EQ(fake_.Get(FakeKnob::kNumLaunches), 3);
}

TEST_F(CudaDeviceTest, FailsItsSelfTest) {
  struct Case {
    FakeKnob knob;
    int64_t value;
    absl::StatusCode code;
    const char* message;
  };
  const Case kCases[] = {
      {FakeKnob::kWrongAtLaunch, 1, absl::StatusCode::kInternal,
       "cuda:0 fails its self-test: 1 - -50 in float32 is "},
      {FakeKnob::kWrongAtLaunch, 2, absl::StatusCode::kInternal,
       "cuda:0 fails its self-test: 1 - -50 in bfloat16 is "},
      {FakeKnob::kWrongAtLaunch, 3, absl::StatusCode::kInternal,
       "cuda:0 fails its self-test: 1 - -50 in bfloat16 is "},
      {FakeKnob::kStickyAtLaunch, 1, absl::StatusCode::kUnavailable,
       "cuda:0 fails its self-test: cuda:0 is lost"},
      {FakeKnob::kHangAtLaunch, 3, absl::StatusCode::kUnavailable,
       "a kernel did not end in 200ms"},
      {FakeKnob::kFailAllocAt, 1, absl::StatusCode::kResourceExhausted,
       "cuda:0 fails its self-test: cuda:0: out of device memory"},
  };
  for (const Case& test : kCases) {
    SCOPED_TRACE(test.message);
    fake_.Reset();
    fake_.Set(test.knob, test.value);

    const absl::Status status =
        CudaDevice::Create(WithSelfTest(Options())).status();

    EXPECT_EQ(status.code(), test.code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.message));
  }
}

// A driver that takes no code says so before the server serves.
TEST_F(CudaDeviceTest, FailsItsSelfTestIfNoCodeLoads) {
  CudaDevice::Options options = WithSelfTest(Options());
  options.cache_directory.clear();
  fake_.Set(FakeKnob::kFailLoadAt, 1);

  const absl::Status status = CudaDevice::Create(options).status();

  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("fails its self-test: cuda:0: cuModuleLoadData"));
}

// Nothing runs on the device when it fails.
class IdleCudaDeviceTest : public CudaDeviceTest {
 protected:
  static CudaDevice::Options IdleOptions() {
    CudaDevice::Options options = Options();
    options.heartbeat = true;
    options.watchdog = absl::Milliseconds(200);
    return options;
  }
  // The message with which the device says that it is lost.
  static std::string AwaitLoss(CudaDevice& device) {
    absl::Notification lost;
    std::string message;
    device.OnLost([&](const absl::Status& status) {
      message = std::string(status.message());
      lost.Notify();
    });
    EXPECT_TRUE(lost.WaitForNotificationWithTimeout(absl::Seconds(30)));
    return message;
  }
};

TEST_F(IdleCudaDeviceTest, IsLostByAnErrorOfTheDriver) {
  const auto device = MakeDevice(IdleOptions());

  fake_.Set(FakeKnob::kSticky, kCuIllegalAddress);

  EXPECT_THAT(AwaitLoss(*device), HasSubstr("ILLEGAL_ADDRESS"));
  EXPECT_EQ(device->health().code(), absl::StatusCode::kUnavailable);
}

TEST_F(IdleCudaDeviceTest, IsLostByAnyErrorThatStays) {
  const auto device = MakeDevice(IdleOptions());

  fake_.Set(FakeKnob::kSticky, 810);

  EXPECT_THAT(AwaitLoss(*device), HasSubstr("(810)"));
}

TEST_F(IdleCudaDeviceTest, IsLostByADriverThatDoesNotReturn) {
  const auto device = MakeDevice(IdleOptions());

  fake_.Set(FakeKnob::kHangAtRecord, 1);

  EXPECT_THAT(AwaitLoss(*device),
              HasSubstr("the driver did not answer in 200ms"));
  fake_.Reset();  // lets the call return, and the device go
}

TEST_F(IdleCudaDeviceTest, StaysHealthyAndBusyWhileItIsAsked) {
  const auto device = MakeDevice(IdleOptions());
  const auto program = Compile(*device, AddProgram(1));

  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(RunOnes(*device, *program).ok());
    absl::SleepFor(absl::Milliseconds(5));
  }

  EXPECT_TRUE(device->health().ok()) << device->health();
}

// The clock jumps while a process is stopped; its kernels did not hang.
TEST_F(CudaDeviceTest, IsNotLostByAClockThatJumps) {
  CudaDevice::Options options = Options();
  options.watchdog = absl::Milliseconds(100);
  const auto device = MakeDevice(options);
  const auto program = Compile(*device, AddProgram(1));
  fake_.Set(FakeKnob::kQueryPauseMillis, 300);

  EXPECT_TRUE(RunOnes(*device, *program).ok());

  EXPECT_EQ(fake_.Get(FakeKnob::kQueryPauseMillis), 0) << "no query paused";
  EXPECT_TRUE(device->health().ok()) << device->health();
}

}  // namespace
}  // namespace actserve
