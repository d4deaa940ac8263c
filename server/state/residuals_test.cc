#include "server/state/residuals.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "server/testing/fake_clock.h"

namespace actserve {
namespace {

constexpr int64_t kOverhead = 512;  // what an entry is charged on top

std::shared_ptr<Residual> ResidualOf(size_t size_bytes) {
  auto residual = std::make_shared<Residual>();
  residual->size_bytes = size_bytes;
  return residual;
}

class Resident final : public ResidentTensors {
 public:
  Resident() : ResidentTensors(1, 250, DType::kFloat32) {}
};

class ResidualsTest : public testing::Test {
 protected:
  // Room for three residuals of 1,000 bytes.
  ResidualsTest() : residuals_(OptionsOf(), &clock_) {}

  static Residuals::Options OptionsOf() {
    Residuals::Options options;
    options.max_bytes = 3 * (1000 + kOverhead);
    return options;
  }
  std::string Put(size_t size_bytes = 1000,
                  absl::Duration lease = absl::Minutes(1)) {
    return residuals_.Put(ResidualOf(size_bytes), lease);
  }
  bool Has(const std::string& handle) {
    return residuals_.Get(handle) != nullptr;
  }

  FakeClock clock_;
  Residuals residuals_;
};

TEST_F(ResidualsTest, GivesBackWhatWasPut) {
  auto residual = ResidualOf(1000);
  const std::string handle = residuals_.Put(residual, absl::Minutes(1));

  auto got = residuals_.Get(handle);

  EXPECT_EQ(got, residual);
}

// The device has memory of its own.
TEST_F(ResidualsTest, WhatTheDeviceHoldsIsNotOfTheHost) {
  Residuals::Options options;
  options.max_host_bytes = 1000 + kOverhead;
  Residuals residuals(options, &clock_);
  const auto on_device = ResidualOf(1000);
  on_device->resident = std::make_shared<Resident>();
  const absl::Duration lease = absl::Minutes(1);

  EXPECT_NE(residuals.Put(on_device, lease), "");
  const std::string on_host = residuals.Put(ResidualOf(1000), lease);
  EXPECT_NE(on_host, "");
  EXPECT_EQ(residuals.Put(ResidualOf(1), lease), "");
  EXPECT_EQ(residuals.Put(ResidualOf(1001), lease), "");
  EXPECT_NE(residuals.Put(on_device, lease), "");
  EXPECT_EQ(residuals.losses().refused, 2);
  EXPECT_EQ(residuals.resident_bytes(), 2 * (1000 + kOverhead));

  residuals.Release(on_host);
  EXPECT_NE(residuals.Put(ResidualOf(1000), lease), "");
}

TEST_F(ResidualsTest, HandlesAreSixteenBytesAndDiffer) {
  std::set<std::string> handles;
  for (int i = 0; i < 3; ++i) handles.insert(Put());
  EXPECT_EQ(handles.size(), 3);
  for (const std::string& handle : handles) EXPECT_EQ(handle.size(), 16);
}

TEST_F(ResidualsTest, AnUnknownHandleIsGone) {
  EXPECT_EQ(residuals_.Get(std::string(16, 'x')), nullptr);
}

TEST_F(ResidualsTest, ALeaseEnds) {
  const std::string handle = Put(1000, absl::Seconds(20));

  clock_.Advance(absl::Seconds(20));

  EXPECT_FALSE(Has(handle));
}

TEST_F(ResidualsTest, ASpentOneStaysForARetry) {
  const std::string handle = Put();
  EXPECT_TRUE(Has(handle));

  clock_.Advance(absl::Seconds(9));
  EXPECT_TRUE(Has(handle));
  clock_.Advance(absl::Seconds(1));
  EXPECT_FALSE(Has(handle));
}

TEST_F(ResidualsTest, UseDoesNotProlongALease) {
  const std::string handle = Put(1000, absl::Seconds(5));
  EXPECT_TRUE(Has(handle));

  clock_.Advance(absl::Seconds(5));

  EXPECT_FALSE(Has(handle));
}

TEST_F(ResidualsTest, ASpentOneGoesForRoom) {
  const std::string live = Put();
  const std::string spent = Put();
  Put();
  EXPECT_TRUE(Has(spent));

  const std::string fresh = Put();

  EXPECT_NE(fresh, "");
  EXPECT_TRUE(Has(live));
  EXPECT_TRUE(Has(fresh));
  EXPECT_FALSE(Has(spent));
}

TEST_F(ResidualsTest, TheOneSpentFirstGoesFirst) {
  Put();
  const std::string second = Put();
  const std::string first = Put();
  EXPECT_TRUE(Has(first));
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(Has(second));

  Put();

  EXPECT_FALSE(Has(first));
  EXPECT_TRUE(Has(second));
}

TEST_F(ResidualsTest, ARunningLeaseIsNeverDroppedForAnother) {
  const std::string live[] = {Put(), Put(), Put()};

  EXPECT_EQ(Put(), "");

  for (const std::string& handle : live) EXPECT_TRUE(Has(handle));
}

TEST_F(ResidualsTest, AnExpiredOneGoesForRoom) {
  for (int i = 0; i < 3; ++i) Put(1000, absl::Seconds(1));

  clock_.Advance(absl::Seconds(1));

  EXPECT_NE(Put(), "");
}

TEST_F(ResidualsTest, CountsThoseThatNobodyUsed) {
  Put(1000, absl::Seconds(1));
  EXPECT_TRUE(Has(Put(1000, absl::Seconds(1))));  // used
  Put(1000, absl::Seconds(9));

  clock_.Advance(absl::Seconds(1));
  residuals_.Sweep();

  EXPECT_EQ(residuals_.losses().expired, 1);
  EXPECT_EQ(residuals_.losses().refused, 0);
}

TEST_F(ResidualsTest, OneThatCanNeverFitIsRefusedAndDropsNothing) {
  const std::string spent = Put();
  EXPECT_TRUE(Has(spent));

  EXPECT_EQ(Put(1 << 20), "");

  EXPECT_TRUE(Has(spent));
}

TEST_F(ResidualsTest, CountsEmptyOnesAgainstTheirNumber) {
  Residuals::Options options;
  options.max_count = 2;
  Residuals residuals(options, &clock_);

  EXPECT_NE(residuals.Put(ResidualOf(0), absl::Minutes(1)), "");
  EXPECT_NE(residuals.Put(ResidualOf(0), absl::Minutes(1)), "");
  EXPECT_EQ(residuals.Put(ResidualOf(0), absl::Minutes(1)), "");
}

TEST_F(ResidualsTest, ReleaseFreesAtOnce) {
  const std::string handle = Put();

  EXPECT_TRUE(residuals_.Release(handle));

  EXPECT_FALSE(Has(handle));
  EXPECT_FALSE(residuals_.Release(handle));
  EXPECT_EQ(residuals_.bytes(), 0);
}

TEST_F(ResidualsTest, SweepFreesWhatExpired) {
  Put(1000, absl::Seconds(1));
  Put(1000, absl::Seconds(3));
  clock_.Advance(absl::Seconds(1));

  residuals_.Sweep();

  EXPECT_EQ(residuals_.count(), 1);
  EXPECT_EQ(residuals_.bytes(), 1000 + kOverhead);
}

TEST_F(ResidualsTest, WhatABackwardReadsOutlivesTheHandle) {
  std::weak_ptr<const Residual> watch;
  const std::string handle = Put();
  {
    const auto in_use = residuals_.Get(handle);
    watch = in_use;
    residuals_.Release(handle);
    EXPECT_FALSE(watch.expired());
  }
  EXPECT_TRUE(watch.expired());
}

// HoldInputs.

TensorInputs TwoFragmentsOf(const std::string& bytes) {
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  return {{{data, 10}, {data + 10, bytes.size() - 10}}};
}

TEST(HoldInputs, Copies) {
  const std::string message(100, 'x');

  TensorInputs inputs = TwoFragmentsOf(message);

  Residual residual;
  HoldInputs(std::move(inputs), /*owner=*/nullptr, &residual);

  EXPECT_EQ(residual.size_bytes, 100 + kFragmentBytes);
  ASSERT_EQ(residual.inputs[0].size(), 1);
  EXPECT_EQ(std::string(
                reinterpret_cast<const char*>(residual.inputs[0][0].data), 100),
            std::string(100, 'x'));
}

TEST(MayStay, OnlyLargeTensorsInLargeFragments) {
  const std::string bytes(kMinSharedBytes, 'x');
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  const auto cut = [&](size_t fragment_bytes) {
    TensorInputs inputs(1);
    for (size_t at = 0; at < bytes.size(); at += fragment_bytes) {
      inputs[0].push_back({data + at, fragment_bytes});
    }
    return inputs;
  };

  EXPECT_TRUE(MayStay(cut(bytes.size())));
  EXPECT_TRUE(MayStay(cut(kMinFragmentBytes)));
  EXPECT_FALSE(MayStay(cut(kMinFragmentBytes / 2)));
  EXPECT_FALSE(MayStay({{{data, kMinSharedBytes - 1}}}));
}

TEST(HoldInputs, KeepsTensorsWhereTheyAre) {
  auto message = std::make_shared<const std::string>(kMinSharedBytes, 'x');
  const char* const data = message->data();
  const std::weak_ptr<const std::string> watch = message;

  TensorInputs inputs = TwoFragmentsOf(*message);

  Residual residual;
  HoldInputs(std::move(inputs), std::move(message), &residual);

  EXPECT_EQ(reinterpret_cast<const char*>(residual.inputs[0][0].data), data);
  EXPECT_EQ(residual.inputs[0].size(), 2);
  EXPECT_EQ(residual.size_bytes, kMinSharedBytes + 2 * kFragmentBytes);
  EXPECT_FALSE(watch.expired());
}

TEST_F(ResidualsTest, AnotherTenantsAreAsIfTheyWereNot) {
  Tenant a("a", 1);
  const Tenant b("b", 2);
  auto residual = ResidualOf(100);
  residual->tenant = &a;
  const std::string handle = residuals_.Put(residual, absl::Minutes(1));

  EXPECT_EQ(residuals_.Get(handle, &b), nullptr);
  EXPECT_EQ(residuals_.Get(handle, nullptr), nullptr);
  EXPECT_FALSE(residuals_.Release(handle, &b));
  clock_.Advance(absl::Seconds(30));  // a Get() of another spends nothing
  EXPECT_NE(residuals_.Get(handle, &a), nullptr);
  EXPECT_TRUE(residuals_.Release(handle, &a));
}

TEST_F(ResidualsTest, ATenantGetsNoMoreThanItsQuota) {
  Tenant a("a", 1);
  Tenant b("b", 2);
  a.SetQuotas({.residual_bytes = 1000 + kOverhead});
  const auto put = [&](const Tenant& tenant) {
    auto residual = ResidualOf(1000);
    residual->tenant = &tenant;
    return residuals_.Put(residual, absl::Minutes(1));
  };

  const std::string first = put(a);
  ASSERT_NE(first, "");
  EXPECT_EQ(put(a), "") << "an unspent one stays";
  const std::string other = put(b);
  EXPECT_NE(other, "");
  residuals_.Get(first, &a);
  const std::string second = put(a);
  EXPECT_NE(second, "") << "a spent one makes room";
  EXPECT_EQ(residuals_.Get(first, &a), nullptr);
  clock_.Advance(absl::Minutes(1));
  EXPECT_NE(put(a), "") << "an expired one does not count";
}

}  // namespace
}  // namespace actserve
