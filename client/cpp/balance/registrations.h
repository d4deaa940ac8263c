#ifndef ACTSERVE_CLIENT_CPP_BALANCE_REGISTRATIONS_H_
#define ACTSERVE_CLIENT_CPP_BALANCE_REGISTRATIONS_H_

#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "actserve/v1/service.pb.h"

namespace actserve {

// What a client has registered, so that it can teach it to a replica that does
// not know it. Thread-safe.
class Registrations {
 public:
  void Put(const std::string& id, const v1::RegisterActivationRequest& request);
  // Nothing: this client did not register it.
  std::optional<v1::RegisterActivationRequest> Find(const std::string& id);

  // Notes that a server gave `id` for what the caller names `asked`: servers of
  // another version may.
  void Adopt(const std::string& asked, const std::string& id);
  // The id last adopted for `asked`, or `asked`.
  std::string IdOf(const std::string& asked);

 private:
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, v1::RegisterActivationRequest> requests_
      ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::string> adopted_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_BALANCE_REGISTRATIONS_H_
