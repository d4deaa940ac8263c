// The CUDA device on tensors that another process has shared, over the fake
// driver, which shares with its own process too. Two processes, all types and
// gradients: client/cpp/shared_memory/device_memory_test.cc.

#include <dlfcn.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/cuda/cuda_device.h"
#include "kernels/device/cuda/driver/driver.h"
#include "kernels/device/cuda/testing/fake_driver.h"
#include "kernels/device/testing/programs.h"
#include "kernels/device/testing/reference.h"

namespace actserve {
namespace {

using ::actserve::testing::AddProgram;
using ::actserve::testing::FakeDriver;
using ::actserve::testing::FakeKnob;
using ::testing::HasSubstr;

constexpr int64_t kCount = 1'000'000;

class InPlaceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = FakeDriver::WhyNoKernels();
    if (!reason.empty()) GTEST_SKIP() << reason;
    CudaDevice::Options options;
    options.driver = FakeDriver::Path();
    options.nvrtc = FakeDriver::Path();
    options.self_test = false;
    options.heartbeat = false;
    device_ = *CudaDevice::Create(options);
    driver_ = *CudaDriver::Open(FakeDriver::Path());
    void* const library = dlopen(FakeDriver::Path().c_str(), RTLD_NOW);
    CuResult (*alloc)(CuDeviceAddress*, size_t) = nullptr;
    alloc = reinterpret_cast<decltype(alloc)>(dlsym(library, "cuMemAlloc_v2"));
    free_ = reinterpret_cast<decltype(free_)>(dlsym(library, "cuMemFree_v2"));
    ASSERT_EQ(alloc(&address_, 2 * kCount * sizeof(float)), kCuSuccess);
    CuUuid uuid = {};
    CuIpcMemHandle handle = {};
    ASSERT_EQ(driver_->functions().DeviceGetUuid(&uuid, 0), kCuSuccess);
    ASSERT_EQ(driver_->functions().IpcGetMemHandle(&handle, address_),
              kCuSuccess);
    uuid_.assign(uuid.bytes, sizeof(uuid.bytes));
    handle_.assign(handle.bytes, sizeof(handle.bytes));
  }
  void TearDown() override {
    if (address_ != 0) free_(address_);
    EXPECT_EQ(fake_.Get(FakeKnob::kNumFaults), 0);
  }
  // What the trainer sees, which over the fake is memory of this process.
  float* At(int64_t element) const {
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    return reinterpret_cast<float*>(address_) + element;
  }

  FakeDriver fake_;
  std::unique_ptr<CudaDevice> device_;
  std::shared_ptr<const CudaDriver> driver_;
  CuResult (*free_)(CuDeviceAddress) = nullptr;
  CuDeviceAddress address_ = 0;
  std::string uuid_;
  std::string handle_;
};

TEST_F(InPlaceTest, OneLaunchAndNoCopy) {
  auto program = device_->Compile(AddProgram(1));
  ASSERT_TRUE(program.ok()) << program.status();
  auto memory = device_->OpenMemory(uuid_, handle_);
  ASSERT_TRUE(memory.ok()) << memory.status();
  EXPECT_EQ((*memory)->size_bytes(), 2 * kCount * sizeof(float));
  for (int64_t i = 0; i < kCount; ++i) *At(i) = static_cast<float>(i);
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  auto* const data = reinterpret_cast<std::byte*>((*memory)->address());
  // Not at a vector's alignment.
  const int64_t count = kCount - 1;
  const Fragment input = {data + sizeof(float), count * sizeof(float)};
  WorkItem item;
  item.inputs = {{&input, 1}};
  item.outputs = {data + kCount * sizeof(float)};
  item.num_elements = count;
  item.in_device_memory = true;
  fake_.Set(FakeKnob::kNumCopies, 0);
  const int64_t launches = device_->num_launches();

  const absl::Status ran = device_->Run(**program, absl::MakeSpan(&item, 1));

  ASSERT_TRUE(ran.ok()) << ran;
  EXPECT_EQ(fake_.Get(FakeKnob::kNumCopies), 0);
  EXPECT_EQ(device_->num_launches(), launches + 1);
  for (int64_t i = 0; i < count; ++i) {
    ASSERT_EQ(*At(kCount + i), *At(i + 1) + 1) << i;
  }
}

TEST_F(InPlaceTest, OpensOnceAndClosesWithTheLast) {
  auto first = device_->OpenMemory(uuid_, handle_);
  auto second = device_->OpenMemory(uuid_, handle_);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ((*first)->address(), (*second)->address());
  EXPECT_EQ(fake_.Get(FakeKnob::kNumOpened), 1);
  first->reset();
  EXPECT_EQ(fake_.Get(FakeKnob::kNumOpened), 1);
  second->reset();
  EXPECT_EQ(fake_.Get(FakeKnob::kNumOpened), 0);
}

TEST_F(InPlaceTest, WhatDoesNotOpenIsNoErrorOfTheDevice) {
  const auto bad = device_->OpenMemory(uuid_, std::string(64, 'x')).status();
  const auto other = device_->OpenMemory("other", handle_).status();

  EXPECT_TRUE(absl::IsInvalidArgument(bad)) << bad;
  EXPECT_TRUE(absl::IsFailedPrecondition(other)) << other;
  EXPECT_TRUE(device_->health().ok());
}

}  // namespace
}  // namespace actserve
