#ifndef ACTSERVE_KERNELS_BASE_SINGLE_FLIGHT_H_
#define ACTSERVE_KERNELS_BASE_SINGLE_FLIGHT_H_

#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace actserve {

// One computation per key, however many threads ask for it at the same time.
// Keeps no result: the next caller after the computation starts another. To
// compute only once, look the result up again inside the computation, and store
// it there.
//
// Thread-safe. Computations of different keys run at once. `Result` is copied
// to every caller.
template <typename Key, typename Result>
class SingleFlight {
 public:
  // Returns the result of `compute`, or waits for another thread that computes
  // for an equal key and returns its result. `joined` (may be null) tells
  // which: true if another thread computed. `compute` must not call Do() with
  // the same key.
  Result Do(const Key& key, absl::FunctionRef<Result()> compute,
            bool* joined = nullptr) {
    const auto [flight, is_first] = FindOrStart(key);
    if (joined != nullptr) *joined = !is_first;
    if (!is_first) {
      flight->landed.WaitForNotification();
      return *flight->result;
    }
    flight->result.emplace(compute());
    {
      absl::MutexLock lock(&mutex_);
      flights_.erase(key);
    }
    flight->landed.Notify();
    return *flight->result;
  }

 private:
  struct Flight {
    absl::Notification landed;
    std::optional<Result> result;  // set before `landed`, then constant
  };

  std::pair<std::shared_ptr<Flight>, bool> FindOrStart(const Key& key) {
    absl::MutexLock lock(&mutex_);
    std::shared_ptr<Flight>& flight = flights_[key];
    if (flight != nullptr) return {flight, false};
    flight = std::make_shared<Flight>();
    return {flight, true};
  }

  absl::Mutex mutex_;
  absl::flat_hash_map<Key, std::shared_ptr<Flight>> flights_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_SINGLE_FLIGHT_H_
