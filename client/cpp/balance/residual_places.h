#ifndef ACTSERVE_CLIENT_CPP_BALANCE_RESIDUAL_PLACES_H_
#define ACTSERVE_CLIENT_CPP_BALANCE_RESIDUAL_PLACES_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace actserve {

class Replica;

// Remembers which replica holds a residual. Of too many handles the oldest are
// forgotten, and their Backward may go to a replica that does not hold it.
// Thread-safe.
class ResidualPlaces {
 public:
  static constexpr size_t kMaxHandles = 1 << 16;

  explicit ResidualPlaces(size_t max_handles = kMaxHandles)
      : max_handles_(max_handles) {}

  void Put(const std::string& handle, std::shared_ptr<Replica> replica);
  // Null: not known.
  std::shared_ptr<Replica> Find(const std::string& handle);
  void Erase(const std::string& handle);

 private:
  const size_t max_handles_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<Replica>> replicas_
      ABSL_GUARDED_BY(mutex_);
  // In the order of Put(); some may have been erased since.
  std::deque<std::string> handles_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_BALANCE_RESIDUAL_PLACES_H_
