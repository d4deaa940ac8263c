#include "server/metrics/call_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "server/metrics/refusals.h"

namespace actserve {
namespace {

int64_t Total(const StripedHistogram::Snapshot& histogram) {
  return std::accumulate(histogram.counts.begin(), histogram.counts.end(),
                         int64_t{0});
}

TEST(CallMetrics, CountsByMethodAndCode) {
  CallMetrics metrics;

  metrics.CountCall(Method::kForward, absl::StatusCode::kOk,
                    absl::Milliseconds(3));
  metrics.CountCall(Method::kForward, absl::StatusCode::kNotFound,
                    absl::Milliseconds(1));
  metrics.CountCall(Method::kOther, absl::StatusCode::kOk, absl::Seconds(60));

  EXPECT_EQ(metrics.num_calls(Method::kForward, 0), 1);
  EXPECT_EQ(metrics.num_calls(Method::kForward, 5), 1);
  EXPECT_EQ(metrics.num_calls(Method::kBackward, 0), 0);
  EXPECT_EQ(metrics.num_calls(Method::kOther, 0), 1);
  EXPECT_EQ(Total(metrics.times(Method::kForward)), 2);
  EXPECT_EQ(metrics.times(Method::kForward).sum, 4'000'000);
  // Beyond the last bound.
  EXPECT_EQ(metrics.times(Method::kOther).counts.back(), 1);
}

// Of whatever method: health may ask for a token, too.
TEST(CallMetrics, CountsWhoIsNotLetIn) {
  CallMetrics metrics;
  const int64_t unknown = NumRefused(Refusal::kUnauthenticated);
  const int64_t denied = NumRefused(Refusal::kPermissionDenied);

  metrics.CountCall(Method::kOther, absl::StatusCode::kUnauthenticated,
                    absl::ZeroDuration());
  metrics.CountCall(Method::kForward, absl::StatusCode::kUnauthenticated,
                    absl::ZeroDuration());
  metrics.CountCall(Method::kForward, absl::StatusCode::kPermissionDenied,
                    absl::ZeroDuration());

  EXPECT_EQ(NumRefused(Refusal::kUnauthenticated) - unknown, 2);
  EXPECT_EQ(NumRefused(Refusal::kPermissionDenied) - denied, 1);
}

// An absl::Status can have any number for a code.
TEST(CallMetrics, CountsCodesThatAreNoneAsUnknown) {
  CallMetrics metrics;

  metrics.CountCall(Method::kForward, static_cast<absl::StatusCode>(99),
                    absl::ZeroDuration());

  EXPECT_EQ(metrics.num_calls(Method::kForward, 2), 1);
}

TEST(CallMetrics, TellsWhyCallsAreUnavailable) {
  CallMetrics metrics;
  const int64_t draining = NumRefused(Refusal::kDraining);
  const int64_t lost = NumRefused(Refusal::kDeviceLost);
  const auto refuse = [&] {
    metrics.CountCall(Method::kForward, absl::StatusCode::kUnavailable,
                      absl::ZeroDuration());
  };

  refuse();
  metrics.set_device_is_lost();
  refuse();
  refuse();

  EXPECT_EQ(NumRefused(Refusal::kDraining) - draining, 1);
  EXPECT_EQ(NumRefused(Refusal::kDeviceLost) - lost, 2);
}

TEST(Refusals, HaveNamesOfTheirOwn) {
  std::set<absl::string_view> names;
  for (int i = 0; i < static_cast<int>(Refusal::kNumRefusals); ++i) {
    const absl::string_view name = NameOf(static_cast<Refusal>(i));
    EXPECT_FALSE(name.empty()) << i;
    names.insert(name);
  }

  EXPECT_EQ(names.size(), static_cast<size_t>(Refusal::kNumRefusals));
}

}  // namespace
}  // namespace actserve
