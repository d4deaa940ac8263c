// What the CUDA device takes for items with tensors that broadcast, over the
// fake driver. The numbers are in DeviceConformance.

#include "kernels/device/cuda/run/item_broadcasts.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/device/cuda/cuda_device.h"
#include "kernels/device/cuda/testing/fake_driver.h"
#include "kernels/device/testing/scratch_directory.h"

namespace actserve {
namespace {

using ::actserve::testing::FakeDriver;
using ::actserve::testing::FakeKnob;

// slope * x, and the gradient of the slopes for dy = 1.
LoweredProgram SlopesProgram() {
  LoweredProgram program;
  Graph& graph = program.graph;
  graph.inputs = {"x", "slope"};
  program.num_broadcasts = 1;
  const NodeId x = graph.Input(0);
  graph.outputs = {{"y", graph.Add(Op::kMul, x, graph.Input(1))},
                   {"slope", x, /*summed=*/true, /*like=*/0}};
  program.program_id = "test:slopes";
  return program;
}

// Ones, times the numbers of their channels: so many rows of so many channels.
struct SlopesItem {
  SlopesItem(int64_t num_rows, int64_t num_channels)
      : x(num_rows * num_channels, 1), slopes(num_channels), y(x.size()) {
    for (size_t c = 0; c < slopes.size(); ++c) slopes[c] = c;
    fragments = {{reinterpret_cast<const std::byte*>(x.data()),
                  x.size() * sizeof(float)},
                 {reinterpret_cast<const std::byte*>(slopes.data()),
                  slopes.size() * sizeof(float)}};
    const Broadcast::Dimension dimensions[] = {{num_rows, true},
                                               {num_channels, false}};
    item.inputs = {absl::MakeConstSpan(&fragments[0], 1)};
    item.broadcasts = {
        {absl::MakeConstSpan(&fragments[1], 1), Broadcast(dimensions)}};
    item.outputs = {reinterpret_cast<std::byte*>(y.data())};
    item.num_elements = static_cast<int64_t>(x.size());
  }
  void ExpectDone() const {
    for (size_t i = 0; i < y.size(); ++i) {
      ASSERT_EQ(y[i], slopes[i % slopes.size()]) << i;
    }
    const size_t num_rows = x.size() / slopes.size();
    EXPECT_EQ(item.sums, std::vector<double>(slopes.size(),
                                             static_cast<double>(num_rows)));
  }

  std::vector<float> x;
  std::vector<float> slopes;
  std::vector<float> y;
  std::vector<Fragment> fragments;
  WorkItem item;
};

class ItemBroadcastsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = FakeDriver::WhyNoKernels();
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
  void TearDown() override { EXPECT_EQ(fake_.Get(FakeKnob::kNumFaults), 0); }

  void MakeDevice(int64_t max_memory_bytes = 0) {
    static const testing::ScratchDirectory directory;
    auto device =
        CudaDevice::Create({.driver = FakeDriver::Path(),
                            .nvrtc = FakeDriver::Path(),
                            .cache_directory = directory.path(),
                            .max_memory_bytes = max_memory_bytes,
                            .num_staging_slots = 4,
                            .staging_bytes = ChunkCutter::kMinRegionBytes,
                            .self_test = false,
                            .heartbeat = false});
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
    auto program = device_->Compile(SlopesProgram());
    ASSERT_TRUE(program.ok()) << program.status();
    program_ = *std::move(program);
  }
  absl::Status Run(SlopesItem& item) {
    return device_->Run(*program_, absl::MakeSpan(&item.item, 1));
  }

  FakeDriver fake_;
  std::unique_ptr<CudaDevice> device_;
  std::shared_ptr<const Program> program_;
};

TEST_F(ItemBroadcastsTest, TakeALaunchAndOneForEachStepOfASum) {
  MakeDevice();
  SlopesItem small(100, 5);

  ASSERT_TRUE(Run(small).ok());

  small.ExpectDone();
  // Two groups of rows, and their sum.
  EXPECT_EQ(device_->num_launches(), 3);
  // There and back.
  EXPECT_EQ(fake_.Get(FakeKnob::kNumCopies), 2);
}

TEST_F(ItemBroadcastsTest, CountTheMemoryOfTheirTerms) {
  // x, y and the terms: three times 1.2 MB.
  MakeDevice(3 << 20);
  SlopesItem large(3000, 100);
  SlopesItem small(1000, 100);

  EXPECT_EQ(Run(large).code(), absl::StatusCode::kResourceExhausted);

  EXPECT_EQ(device_->used_memory_bytes(), 0);
  ASSERT_TRUE(Run(small).ok());
  small.ExpectDone();
  EXPECT_EQ(device_->used_memory_bytes(), 0);
}

TEST_F(ItemBroadcastsTest, AreLostWithTheDevice) {
  for (int nth = 1; nth <= 3; ++nth) {
    MakeDevice();
    fake_.Set(FakeKnob::kStickyAtLaunch, nth);
    SlopesItem item(100, 5);

    EXPECT_EQ(Run(item).code(), absl::StatusCode::kUnavailable) << nth;

    program_.reset();
    device_.reset();
    fake_.Reset();
  }
}

}  // namespace
}  // namespace actserve
