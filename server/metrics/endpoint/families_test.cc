#include "server/metrics/endpoint/families.h"

#include <gtest/gtest.h>

#include "prometheus/text_serializer.h"

namespace actserve {
namespace {

// The format of Prometheus, not our structs, is what counts.
TEST(Families, WriteHistogramsInBaseUnits) {
  constexpr int64_t kBounds[] = {1'000'000, 500'000'000};
  StripedHistogram histogram(kBounds);
  for (int64_t nanoseconds : {250'000, 250'000, 2'000'000, 1'000'000'000}) {
    histogram.Observe(nanoseconds);
  }

  const std::string text = prometheus::TextSerializer().Serialize(
      {Histogram("wait_seconds", "How long.", histogram.Read(), 1e-9)});

  EXPECT_EQ(text,
            "# HELP wait_seconds How long.\n"
            "# TYPE wait_seconds histogram\n"
            "wait_seconds_count 4\n"
            "wait_seconds_sum 1.0025\n"
            "wait_seconds_bucket{le=\"0.001\"} 2\n"
            "wait_seconds_bucket{le=\"0.5\"} 3\n"
            "wait_seconds_bucket{le=\"+Inf\"} 4\n");
}

TEST(Families, WriteLabels) {
  auto family = CounterFamily("things_total", "Things.");
  AddValue(3, {{"kind", "a"}}, &family);
  AddValue(4, {{"kind", "b"}}, &family);

  EXPECT_EQ(prometheus::TextSerializer().Serialize({family}),
            "# HELP things_total Things.\n"
            "# TYPE things_total counter\n"
            "things_total{kind=\"a\"} 3\n"
            "things_total{kind=\"b\"} 4\n");
}

}  // namespace
}  // namespace actserve
