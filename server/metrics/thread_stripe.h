#ifndef ACTSERVE_SERVER_METRICS_THREAD_STRIPE_H_
#define ACTSERVE_SERVER_METRICS_THREAD_STRIPE_H_

#include <atomic>
#include <cstddef>

namespace actserve {

// Counters that many threads increment have this many copies, so that threads
// do not wait for one cache line.
inline constexpr size_t kNumStripes = 32;

// The copy that this thread uses, of kNumStripes. Thread-safe.
inline size_t ThreadStripe() {
  static std::atomic<size_t> num_threads = 0;
  thread_local const size_t stripe =
      num_threads.fetch_add(1, std::memory_order_relaxed) % kNumStripes;
  return stripe;
}

}  // namespace actserve

#endif  // ACTSERVE_SERVER_METRICS_THREAD_STRIPE_H_
