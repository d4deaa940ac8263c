#ifndef ACTSERVE_SERVER_EVALUATION_PLAN_CACHE_H_
#define ACTSERVE_SERVER_EVALUATION_PLAN_CACHE_H_

#include <array>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "kernels/base/lru_cache.h"
#include "kernels/device/device.h"
#include "server/message/request.h"
#include "server/message/split_request.h"
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

// The plans of recent requests, by their metadata. A trainer's steps send the
// same metadata again and again, only the payloads differ; to decode, look up
// and encode all of it anew costs more than a small tensor's computation.
//
// A plan says what decoding would say: an id or a built-in's name means the
// same function for ever, and one that the registry has forgotten is not
// found here either.
//
// Thread-safe.
class PlanCache {
 public:
  using Direction = ProgramKey::Direction;
  struct Options {
    int max_plans = 1024;
    // Of metadata; requests with more are not remembered.
    size_t max_metadata_bytes = 1024;
  };

  // `registry` must outlive this object.
  PlanCache(const Options& options, Registry* registry);

  // The plan for a request whose tensor inputs are its payloads, or nullptr:
  // decode it then.
  std::shared_ptr<const CallPlan> Find(Direction direction,
                                       const SplitRequest& split);

  // Remembers the plan of a request that was decoded, unless it depends on
  // more than metadata: a residual, an upstream gradient left out, or sums in
  // the response.
  void Put(Direction direction, const SplitRequest& split,
           std::shared_ptr<const CallPlan> plan);

 private:
  using Plans = LruCache<std::string, std::shared_ptr<const CallPlan>>;

  const Options options_;
  Registry& registry_;
  absl::Mutex mu_;
  // By direction.
  std::array<Plans, 2> plans_ ABSL_GUARDED_BY(mu_);
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_EVALUATION_PLAN_CACHE_H_
