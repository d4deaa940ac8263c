#ifndef ACTSERVE_SERVER_IDENTITY_SNAPSHOT_H_
#define ACTSERVE_SERVER_IDENTITY_SNAPSHOT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace actserve {

// A constant value that is replaced now and then and read all the time. A
// reader takes a lock only for its first look after a replacement; after that
// it reads one atomic number. (std::atomic<std::shared_ptr> takes a lock in
// each load.)
//
// Each thread keeps the value that it saw last, of one snapshot of each type,
// until it sees another one. Thread-safe.
template <typename T>
class Snapshot {
 public:
  explicit Snapshot(std::shared_ptr<const T> value) { Set(std::move(value)); }

  void Set(std::shared_ptr<const T> value) {
    absl::MutexLock lock(&mu_);
    value_ = std::move(value);
    version_.store(next_version.fetch_add(1) + 1, std::memory_order_release);
  }

  // The value, valid until this thread calls Get() again.
  const T& Get() const {
    // Versions differ among all snapshots of the type.
    thread_local uint64_t seen_version = 0;
    thread_local std::shared_ptr<const T> seen;
    if (version_.load(std::memory_order_acquire) != seen_version) {
      absl::MutexLock lock(&mu_);
      seen = value_;
      seen_version = version_.load(std::memory_order_relaxed);
    }
    return *seen;
  }

 private:
  inline static std::atomic<uint64_t> next_version = 0;
  mutable absl::Mutex mu_;
  std::shared_ptr<const T> value_ ABSL_GUARDED_BY(mu_);
  std::atomic<uint64_t> version_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_IDENTITY_SNAPSHOT_H_
