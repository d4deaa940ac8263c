#ifndef ACTSERVE_SERVER_METRICS_STRIPED_COUNTER_H_
#define ACTSERVE_SERVER_METRICS_STRIPED_COUNTER_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "server/metrics/thread_stripe.h"

namespace actserve {

// A counter for many threads that increment it often. Threads are spread over
// several cache lines, so they do not wait for one. Thread-safe.
class StripedCounter {
 public:
  void Add(int64_t more) {
    stripes_[ThreadStripe()].count.fetch_add(more, std::memory_order_relaxed);
  }
  void Increment() { Add(1); }

  // Includes everything counted before the call, and some of what is counted
  // during it.
  int64_t Sum() const {
    int64_t sum = 0;
    for (const Padded& stripe : stripes_) {
      sum += stripe.count.load(std::memory_order_relaxed);
    }
    return sum;
  }

 private:
  struct alignas(64) Padded {
    std::atomic<int64_t> count = 0;
  };
  std::array<Padded, kNumStripes> stripes_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_METRICS_STRIPED_COUNTER_H_
