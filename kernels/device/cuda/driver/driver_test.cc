#include "kernels/device/cuda/driver/driver.h"

#include <stdlib.h>

#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/cuda/driver/cuda_context.h"
#include "kernels/device/cuda/testing/fake_driver.h"

namespace actserve {
namespace {

using ::actserve::testing::FakeDriver;
using ::actserve::testing::FakeKnob;
using ::testing::EndsWith;
using ::testing::HasSubstr;

class CudaDriverTest : public ::testing::Test {
 protected:
  FakeDriver fake_;
};

TEST_F(CudaDriverTest, OpensADriver) {
  const auto driver = CudaDriver::Open(FakeDriver::Path());

  ASSERT_TRUE(driver.ok()) << driver.status();
  EXPECT_EQ((*driver)->version(), 13000);
  EXPECT_EQ((*driver)->num_devices(), 1);
  EXPECT_EQ((*driver)->path(), FakeDriver::Path());
  EXPECT_EQ(CudaDriver::VersionName(12080), "12.8");
}

TEST_F(CudaDriverTest, LoadsADriverThatDoesNotStart) {
  fake_.Set(FakeKnob::kInitResult, 999);

  const auto driver = CudaDriver::Load(FakeDriver::Path());

  ASSERT_TRUE(driver.ok()) << driver.status();
  EXPECT_EQ((*driver)->missing_symbol(), "");
  EXPECT_EQ((*driver)->functions().Init(0), kCuUnknown);
  EXPECT_EQ((*driver)->ResultName(kCuOutOfMemory),
            "CUDA_ERROR_OUT_OF_MEMORY (2)");
}

TEST_F(CudaDriverTest, SaysThatThereIsNone) {
  const absl::Status status = CudaDriver::Open("/nowhere/libcuda.so").status();

  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("no CUDA driver here, tried /nowhere/libcuda.so"));
}

TEST_F(CudaDriverTest, RefusesALibraryThatIsNoDriver) {
  const absl::Status status = CudaDriver::Open("libm.so.6").status();

  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              EndsWith("/libm.so.6: not a CUDA driver: no cuInit"));
}

TEST_F(CudaDriverTest, IsFoundByTheEnvironment) {
  ASSERT_EQ(setenv("ACTSERVE_CUDA_DRIVER", "/elsewhere/libcuda.so", 1), 0);
  const absl::Status status = CudaDriver::Open().status();
  ASSERT_EQ(unsetenv("ACTSERVE_CUDA_DRIVER"), 0);

  EXPECT_THAT(std::string(status.message()),
              HasSubstr("/elsewhere/libcuda.so"));
}

TEST_F(CudaDriverTest, AnEmptyVariableNamesNothing) {
  ASSERT_EQ(setenv("ACTSERVE_CUDA_DRIVER", "", 1), 0);
  const auto driver = CudaDriver::Open();
  ASSERT_EQ(unsetenv("ACTSERVE_CUDA_DRIVER"), 0);

  // A machine with a GPU has one.
  if (!driver.ok() && absl::IsUnimplemented(driver.status())) {
    EXPECT_THAT(std::string(driver.status().message()),
                HasSubstr("tried libcuda.so.1, /usr/local/nvidia/lib64/"));
  }
}

struct FailureCase {
  FakeKnob knob;
  int64_t value;
  absl::StatusCode code;
  std::string message;
};

TEST_F(CudaDriverTest, SaysWhyADriverDoesNotDo) {
  const FailureCase kCases[] = {
      {FakeKnob::kVersion, 11040, absl::StatusCode::kFailedPrecondition,
       ": a driver for CUDA 11.4, want one for 12.0 or newer"},
      {FakeKnob::kDevices, 0, absl::StatusCode::kNotFound,
       ": the driver (CUDA 13.0) finds no device"},
      {FakeKnob::kInitResult, 999, absl::StatusCode::kInternal,
       "cuInit: CUDA_ERROR_OF_THE_FAKE (999)"},
  };
  for (const FailureCase& test : kCases) {
    SCOPED_TRACE(test.message);
    fake_.Reset();
    fake_.Set(test.knob, test.value);

    const absl::Status status = CudaDriver::Open(FakeDriver::Path()).status();

    EXPECT_EQ(status.code(), test.code);
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.message));
  }
}

class CudaContextTest : public CudaDriverTest {
 protected:
  absl::StatusOr<std::shared_ptr<CudaContext>> Create(
      const CudaContext::Options& options) {
    auto driver = CudaDriver::Open(FakeDriver::Path());
    EXPECT_TRUE(driver.ok()) << driver.status();
    return CudaContext::Create(*driver, options);
  }
};

TEST_F(CudaContextTest, KnowsItsDevice) {
  fake_.Set(FakeKnob::kDevices, 2);

  const auto context = Create({.ordinal = 1});

  ASSERT_TRUE(context.ok()) << context.status();
  EXPECT_EQ((*context)->name(), "cuda:1");
  EXPECT_EQ((*context)->architecture(), 90);
  EXPECT_EQ((*context)->description(),
            "Fake GPU, sm_90, 2 multiprocessors, 1 GiB, driver 13.0");
}

TEST_F(CudaContextTest, RefusesAnOrdinalThatIsNotThere) {
  for (int ordinal : {-1, 1, 7}) {
    const absl::Status status = Create({.ordinal = ordinal}).status();

    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("the machine has 1 CUDA device, counted from 0"));
  }
}

TEST_F(CudaContextTest, RefusesDevicesThatDoNotDo) {
  const FailureCase kCases[] = {
      {FakeKnob::kArchitecture, 70, absl::StatusCode::kFailedPrecondition,
       "want sm_75 or newer"},
      {FakeKnob::kMemoryPools, 0, absl::StatusCode::kFailedPrecondition,
       "no memory pools"},
  };
  for (const FailureCase& test : kCases) {
    SCOPED_TRACE(test.message);
    fake_.Reset();
    fake_.Set(test.knob, test.value);

    const absl::Status status = Create({}).status();

    EXPECT_EQ(status.code(), test.code);
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.message));
  }
}

TEST_F(CudaContextTest, TellsErrorsApart) {
  struct Case {
    CuResult result;
    absl::StatusCode code;
    bool lost;
  };
  const Case kCases[] = {
      {kCuSuccess, absl::StatusCode::kOk, false},
      {kCuInvalidValue, absl::StatusCode::kInternal, false},
      {kCuOutOfMemory, absl::StatusCode::kResourceExhausted, false},
      {kCuInvalidImage, absl::StatusCode::kInternal, false},
      {kCuEccUncorrectable, absl::StatusCode::kUnavailable, true},
      {kCuIllegalAddress, absl::StatusCode::kUnavailable, true},
      {static_cast<CuResult>(701), absl::StatusCode::kInternal, false},
      {kCuAssert, absl::StatusCode::kUnavailable, true},
      {kCuLaunchFailed, absl::StatusCode::kUnavailable, true},
      {kCuUnknown, absl::StatusCode::kUnavailable, true},
  };
  for (const Case& test : kCases) {
    SCOPED_TRACE(test.result);
    const auto context = Create({});
    ASSERT_TRUE(context.ok()) << context.status();

    EXPECT_EQ((*context)->Check("cuCall", test.result).code(), test.code);
    EXPECT_EQ((*context)->lost(), test.lost);
    EXPECT_EQ((*context)->health().ok(), !test.lost);
    EXPECT_EQ((*context)->Enter().ok(), !test.lost);
  }
}

TEST_F(CudaContextTest, SaysOnceThatItIsLost) {
  const auto context = Create({});
  ASSERT_TRUE(context.ok()) << context.status();
  std::vector<std::string> told;
  const auto tell = [&](const absl::Status& status) {
    told.emplace_back(status.message());
  };
  (*context)->OnLost(tell);

  (*context)->Check("cuFirst", kCuIllegalAddress).IgnoreError();
  (*context)->Check("cuSecond", kCuLaunchFailed).IgnoreError();
  (*context)->OnLost(tell);  // too late to wait for it

  const std::string reason =
      "cuda:0 is lost: cuFirst: CUDA_ERROR_ILLEGAL_ADDRESS (700)";
  EXPECT_THAT(told, ::testing::ElementsAre(reason, reason));
}

// The fake refuses what the real driver refuses, or what only luck would let
// pass there.
class FakeDriverTest : public CudaDriverTest {
 protected:
  void SetUp() override {
    context_ = *CudaContext::Create(*CudaDriver::Open(FakeDriver::Path()), {});
    ASSERT_TRUE(context_->Enter().ok());
    for (CuStream& stream : streams_) {
      ASSERT_EQ(cuda().StreamCreate(&stream, kCuStreamNonBlocking), kCuSuccess);
    }
    for (CuEvent& event : events_) {
      ASSERT_EQ(cuda().EventCreate(&event, kCuEventDefault), kCuSuccess);
    }
  }
  const CuFunctions& cuda() const { return context_->cuda(); }

  std::shared_ptr<CudaContext> context_;
  CuStream streams_[2] = {};
  CuEvent events_[2] = {};
};

TEST_F(FakeDriverTest, RefusesToAllocateNothing) {
  CuDeviceAddress address = 0;

  EXPECT_EQ(cuda().MemAllocAsync(&address, 0, streams_[0]), kCuInvalidValue);
}

TEST_F(FakeDriverTest, KnowsNoTimeOfEventsThatWereNotReached) {
  float ms = 0;
  EXPECT_EQ(cuda().EventElapsedTime(&ms, events_[0], events_[1]),
            kCuInvalidHandle);

  for (CuEvent event : events_) {
    ASSERT_EQ(cuda().EventRecord(event, streams_[0]), kCuSuccess);
  }
  while (cuda().EventQuery(events_[1]) == kCuNotReady) {
  }

  EXPECT_EQ(cuda().EventElapsedTime(&ms, events_[0], events_[1]), kCuSuccess);
}

TEST_F(FakeDriverTest, LetsNoOtherStreamTouchMemoryThatItsOwnDidNotReach) {
  char bytes[16] = {};
  CuDeviceAddress address = 0;
  // The stream gets to its allocation only after Reset().
  fake_.Set(FakeKnob::kHangAtAlloc, 1);
  ASSERT_EQ(cuda().MemAllocAsync(&address, sizeof bytes, streams_[0]),
            kCuSuccess);

  ASSERT_EQ(cuda().MemcpyHtoDAsync(address, bytes, sizeof bytes, streams_[1]),
            kCuSuccess);
  while (fake_.Get(FakeKnob::kNumFaults) == 0) {
  }

  EXPECT_EQ(cuda().EventQuery(events_[1]), kCuIllegalAddress);
  fake_.Reset();
}

}  // namespace
}  // namespace actserve
