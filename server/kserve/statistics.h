#ifndef ACTSERVE_SERVER_KSERVE_STATISTICS_H_
#define ACTSERVE_SERVER_KSERVE_STATISTICS_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "inference/grpc_service.pb.h"
#include "kernels/base/lru_cache.h"
#include "kernels/device/device.h"
#include "server/identity/tenant.h"

namespace actserve::kserve {

// Counts the requests of each tenant to each model, under the name that they
// used. Only the most recently called models are remembered, so that names of
// clients do not fill the memory. Thread-safe.
class Statistics {
 public:
  static constexpr size_t kMaxModels = 4096;

  struct Times {
    absl::Duration total;
    absl::Duration queue = absl::ZeroDuration();
    Stages stages;
  };

  // `model` must be known: it is not checked.
  void CountSuccess(const Tenant* tenant, const std::string& model,
                    const Times& times);
  void CountFailure(const Tenant* tenant, const std::string& model,
                    absl::Duration total);

  // Of one model; zeros if it was not called.
  inference::ModelStatistics Of(const Tenant* tenant, const std::string& model);
  // Of all that were called.
  inference::ModelStatisticsResponse OfAll(const Tenant* tenant);

 private:
  struct Sum {
    uint64_t count = 0;
    absl::Duration time = absl::ZeroDuration();
    void Add(absl::Duration more) {
      ++count;
      time += more;
    }
  };
  struct Counters {
    absl::Time last = absl::UnixEpoch();
    Sum success;
    Sum fail;
    Sum queue;
    Sum copy_in;
    Sum compute;
    Sum copy_out;
  };
  // A tenant that is gone is only a number.
  using Key = std::pair<const Tenant*, std::string>;

  Counters& At(const Tenant* tenant, const std::string& model)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static inference::ModelStatistics Describe(const std::string& model,
                                             const Counters& counters);

  absl::Mutex mu_;
  LruCache<Key, Counters> models_ ABSL_GUARDED_BY(mu_){kMaxModels};
};

}  // namespace actserve::kserve

#endif  // ACTSERVE_SERVER_KSERVE_STATISTICS_H_
