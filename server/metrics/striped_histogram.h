#ifndef ACTSERVE_SERVER_METRICS_STRIPED_HISTOGRAM_H_
#define ACTSERVE_SERVER_METRICS_STRIPED_HISTOGRAM_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "server/metrics/thread_stripe.h"

namespace actserve {

// A histogram of whole numbers, such as nanoseconds, for many threads that
// observe often. Threads are spread over several copies and take no lock: an
// observation is two additions to a cache line that few others write.
// Thread-safe.
class StripedHistogram {
 public:
  static constexpr size_t kMaxBounds = 22;

  // `bounds` ascend and must outlive this object. A value belongs to the first
  // bound that is not less than it.
  template <size_t kNumBounds>
  explicit StripedHistogram(const int64_t (&bounds)[kNumBounds])
      : bounds_(bounds) {
    static_assert(kNumBounds <= kMaxBounds, "there is no room for the counts");
  }

  void Observe(int64_t value) {
    size_t bucket = 0;
    while (bucket < bounds_.size() && value > bounds_[bucket]) ++bucket;
    Stripe& stripe = stripes_[ThreadStripe()];
    stripe.counts[bucket].fetch_add(1, std::memory_order_relaxed);
    stripe.sum.fetch_add(value, std::memory_order_relaxed);
  }

  struct Snapshot {
    absl::Span<const int64_t> bounds;
    // Element i counts the values of bounds[i] alone; one more element counts
    // those beyond the last bound.
    std::vector<int64_t> counts;
    int64_t sum = 0;
  };
  // Includes everything observed before the call, and some of what is observed
  // during it. No number is ever less than in an earlier snapshot, unless a
  // value was negative.
  Snapshot Read() const {
    Snapshot snapshot{bounds_, std::vector<int64_t>(bounds_.size() + 1)};
    for (const Stripe& stripe : stripes_) {
      for (size_t i = 0; i < snapshot.counts.size(); ++i) {
        snapshot.counts[i] += stripe.counts[i].load(std::memory_order_relaxed);
      }
      snapshot.sum += stripe.sum.load(std::memory_order_relaxed);
    }
    return snapshot;
  }

 private:
  struct alignas(64) Stripe {
    std::atomic<int64_t> sum = 0;
    std::array<std::atomic<int64_t>, kMaxBounds + 1> counts = {};
  };

  const absl::Span<const int64_t> bounds_;
  std::array<Stripe, kNumStripes> stripes_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_METRICS_STRIPED_HISTOGRAM_H_
