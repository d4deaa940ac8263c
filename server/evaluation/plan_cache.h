#ifndef ACTSERVE_SERVER_EVALUATION_PLAN_CACHE_H_
#define ACTSERVE_SERVER_EVALUATION_PLAN_CACHE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "kernels/base/lru_cache.h"
#include "kernels/device/device.h"
#include "server/message/request.h"
#include "server/message/split_request.h"
#include "server/metrics/striped_counter.h"
#include "server/state/registry.h"

namespace actserve {

// Everything about a request that does not change from call to call: what it
// asks for, beside its tensors, and the program that computes it.
struct CallPlan {
  TensorRequest request;
  std::shared_ptr<const Program> program;
  // The constant part of the encoded response; empty if it has none.
  std::string response_head;
};

// The plans of recent requests, by their metadata. The steps of a training send
// the same metadata again and again; only the payloads differ. Decoding and
// encoding it each time would cost more than computing a small tensor.
//
// A plan equals the result of decoding: an id or the name of a built-in always
// means the same function, and Find() does not return plans for activations
// that the registry has forgotten, or does not know of this tenant.
//
// Thread-safe.
class PlanCache {
 public:
  struct Options {
    int max_plans = 1024;
    // Limit on the memory of the plans' activations, which a plan keeps even if
    // the registry has forgotten them; each counts for every plan of it.
    int64_t max_activation_bytes = int64_t{256} << 20;
    // Limit on the metadata; requests with more are not remembered.
    size_t max_metadata_bytes = 1024;
  };

  // `registry` must outlive this object.
  PlanCache(const Options& options, Registry* registry);

  // Returns the plan for a request of a tenant whose tensor inputs are its
  // payloads, or nullptr; then decode the request.
  std::shared_ptr<const CallPlan> Find(TensorMethod method,
                                       const SplitRequest& split,
                                       const Tenant* tenant = nullptr);

  // Calls of Find() that found one.
  int64_t num_found() const { return num_found_.Sum(); }

  // Remembers the plan of a decoded request, unless it depends on more than
  // metadata: on a residual, on an omitted upstream gradient, or on numbers in
  // the response.
  void Put(TensorMethod method, const SplitRequest& split,
           std::shared_ptr<const CallPlan> plan);

 private:
  using Plans = LruCache<std::string, std::shared_ptr<const CallPlan>>;

  const Options options_;
  Registry& registry_;
  StripedCounter num_found_;
  absl::Mutex mu_;
  // By method.
  std::array<Plans, 2> plans_ ABSL_GUARDED_BY(mu_);
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_EVALUATION_PLAN_CACHE_H_
