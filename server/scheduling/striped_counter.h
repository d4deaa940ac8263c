#ifndef ACTSERVE_SERVER_SCHEDULING_STRIPED_COUNTER_H_
#define ACTSERVE_SERVER_SCHEDULING_STRIPED_COUNTER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace actserve {

// A counter for many threads that increment it often. Threads are spread over
// several cache lines, so they do not wait for one. Thread-safe.
class StripedCounter {
 public:
  void Increment() {
    stripes_[Stripe()].count.fetch_add(1, std::memory_order_relaxed);
  }

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

  static size_t Stripe() {
    static std::atomic<size_t> num_threads = 0;
    thread_local const size_t stripe =
        num_threads.fetch_add(1, std::memory_order_relaxed) % kNumStripes;
    return stripe;
  }

  static constexpr size_t kNumStripes = 32;
  std::array<Padded, kNumStripes> stripes_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SCHEDULING_STRIPED_COUNTER_H_
