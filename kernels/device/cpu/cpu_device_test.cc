#include "kernels/device/cpu/cpu_device.h"

#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/testing/reference.h"

namespace actserve {
namespace {

using ::actserve::testing::MakeProgram;
using ::actserve::testing::RandomTensor;
using ::actserve::testing::Results;
using ::actserve::testing::RunOnDevice;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<CpuDevice> MakeDevice(const CpuDevice::Options& options = {}) {
  auto device = CpuDevice::Create(options);
  EXPECT_TRUE(device.ok()) << device.status();
  return *std::move(device);
}

// x + `addend`: as many programs as one wants.
LoweredProgram AddProgram(double addend, DType dtype = DType::kFloat32) {
  Graph graph;
  graph.inputs = {"x"};
  const NodeId sum =
      graph.Add(Op::kAdd, graph.Input(0), graph.Constant(addend));
  graph.outputs = {{"y", sum}};
  return MakeProgram(absl::StrCat("add ", addend), std::move(graph), dtype);
}

LoweredProgram SpikyProgram() {
  Graph graph;
  graph.inputs = {"x"};
  const NodeId x = graph.Input(0);
  const NodeId r = graph.Add(Op::kSub, x, graph.Add(Op::kFloor, x));
  const NodeId low = graph.Add(Op::kLessEqual, r, graph.Constant(0.5));
  graph.outputs = {{"y", graph.Add(Op::kSelect, low, r, graph.Constant(0))}};
  return MakeProgram("spiky", std::move(graph), DType::kFloat32);
}

// slope * x, and the sum of x, the gradient of the slope for dy = 1.
LoweredProgram SlopeProgram() {
  Graph graph;
  graph.inputs = {"x"};
  graph.parameters = {{"slope", 0.25}};
  const NodeId x = graph.Input(0);
  graph.outputs = {{"y", graph.Add(Op::kMul, x, graph.ParameterNode(0)), false},
                   {"dslope", x, true}};
  return MakeProgram("slope", std::move(graph), DType::kFloat32);
}

// An item over vectors that live as long as it.
struct FloatItem {
  explicit FloatItem(std::vector<float> x)
      : in(std::move(x)), out(in.size()), fragments(1) {
    fragments[0] = {reinterpret_cast<const std::byte*>(in.data()),
                    in.size() * sizeof(float)};
    item.inputs = {fragments};
    item.outputs = {reinterpret_cast<std::byte*>(out.data())};
    item.num_elements = in.size();
  }
  std::vector<float> in;
  std::vector<float> out;
  std::vector<Fragment> fragments;
  WorkItem item;
};

TEST(CpuDevice, SaysWhatItIs) {
  const auto device = MakeDevice({.num_threads = 1});

  EXPECT_EQ(device->name(), "cpu");
  EXPECT_THAT(device->description(), HasSubstr(", 1 thread, AVX"));
}

TEST(CpuDevice, RunsSpiky) {
  const auto device = MakeDevice();
  const auto program = device->Compile(SpikyProgram());
  ASSERT_TRUE(program.ok()) << program.status();
  FloatItem spikes({0.2f, 0.7f, 1.2f, 1.7f});

  ASSERT_TRUE(device->Run(**program, absl::MakeSpan(&spikes.item, 1)).ok());

  EXPECT_THAT(spikes.out, ElementsAre(0.2f, 0.0f, 0.20000005f, 0.0f));
}

TEST(CpuDevice, RunsEachItemWithItsOwnParameters) {
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

TEST(CpuDevice, RefusesItemsThatDoNotFit) {
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

TEST(CpuDevice, CompilesAProgramOnceForAllThatAsk) {
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

TEST(CpuDevice, CompilesDifferentProgramsAtOnce) {
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

TEST(CpuDevice, FindsOnlyWhatIsCompiled) {
  const auto device = MakeDevice();
  const LoweredProgram program = AddProgram(1);
  EXPECT_EQ(device->Find(program.program_id), nullptr);

  const auto compiled = device->Compile(program);

  EXPECT_EQ(device->Find(program.program_id), *compiled);
}

TEST(CpuDevice, ForgetsTheProgramsUsedLongestAgo) {
  const auto device = MakeDevice({.max_programs = 2});
  const auto one = device->Compile(AddProgram(1));
  const auto two = device->Compile(AddProgram(2));
  device->Find(AddProgram(1).program_id);

  const auto three = device->Compile(AddProgram(3));

  EXPECT_NE(device->Find(AddProgram(1).program_id), nullptr);
  EXPECT_EQ(device->Find(AddProgram(2).program_id), nullptr);
  FloatItem item({1});
  EXPECT_TRUE(device->Run(**two, absl::MakeSpan(&item.item, 1)).ok());
  EXPECT_THAT(item.out, ElementsAre(3));
}

TEST(CpuDevice, BoundsTheCodeItKeeps) {
  const auto device = MakeDevice({.max_code_bytes = 1});
  const auto one = device->Compile(AddProgram(1));
  const auto two = device->Compile(AddProgram(2));

  EXPECT_EQ(device->Find(AddProgram(1).program_id), nullptr);
  EXPECT_EQ(device->Find(AddProgram(2).program_id), *two);
}

TEST(CpuDevice, ProgramsOutliveIt) {
  auto device = MakeDevice();
  auto program = device->Compile(AddProgram(1));

  device.reset();

  ASSERT_TRUE(program.ok());
  program->reset();
}

class DiskCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/cpu_device_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      files.push_back(entry.path());
    }
    return files;
  }
  float AddOneTo(float x, const std::string& cpu = "") {
    const auto device = MakeDevice({.cache_dir = directory_, .cpu = cpu});
    const Results results = RunOnDevice(
        *device, AddProgram(1),
        {std::string(reinterpret_cast<const char*>(&x), sizeof(x))}, {});
    float y;
    std::memcpy(&y, results.outputs[0].data(), sizeof(y));
    return y;
  }

  std::string directory_;
};

TEST_F(DiskCacheTest, ServesTheNextProcess) {
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

TEST_F(DiskCacheTest, CompilesAgainWhatIsDamaged) {
  EXPECT_EQ(AddOneTo(1), 2);
  std::fstream file(Files()[0]);
  file.seekp(200);
  file.put('!');
  file.close();

  EXPECT_EQ(AddOneTo(2), 3);
  EXPECT_EQ(AddOneTo(3), 4);
}

TEST_F(DiskCacheTest, KeepsProcessorsApart) {
  EXPECT_EQ(AddOneTo(1), 2);
  EXPECT_EQ(AddOneTo(1, "haswell"), 2);

  EXPECT_EQ(Files().size(), 2);
}

TEST_F(DiskCacheTest, IsRefusedIfOthersMayEnterIt) {
  ASSERT_EQ(chmod(directory_.c_str(), 0770), 0);

  EXPECT_EQ(CpuDevice::Create({.cache_dir = directory_}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace actserve
