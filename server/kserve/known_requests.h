#ifndef ACTSERVE_SERVER_KSERVE_KNOWN_REQUESTS_H_
#define ACTSERVE_SERVER_KSERVE_KNOWN_REQUESTS_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "kernels/base/lru_cache.h"
#include "server/message/request.h"
#include "server/message/split_request.h"

namespace actserve::kserve {

// What a request was translated into, and the head of its response: all that
// follows from its metadata. The name of a model always means the same, so it
// stays true.
struct KnownRequest {
  std::string model_name;
  // Without it there is no such model.
  std::string activation;
  TensorMethod method = TensorMethod::kForward;
  std::string native_metadata;
  // For each payload of the native request its place in raw_input_contents.
  std::vector<int> raw_places;
  std::optional<absl::Duration> timeout;
  std::string response_head;
};

// The most recent requests, by their metadata without the id: clients send the
// same again and again. Thread-safe.
class KnownRequests {
 public:
  static constexpr size_t kMaxRequests = 1024;
  // Requests with more are not remembered.
  static constexpr size_t kMaxMetadataBytes = 1024;

  // nullptr if it is not known.
  std::shared_ptr<const KnownRequest> Find(const SplitRequest& raw);
  void Put(const SplitRequest& raw, std::shared_ptr<const KnownRequest> known);

 private:
  using Requests = LruCache<std::string, std::shared_ptr<const KnownRequest>>;
  absl::Mutex mu_;
  Requests requests_ ABSL_GUARDED_BY(mu_){kMaxRequests};
};

// Cuts the id out of the metadata of a ModelInferRequest, and returns it. It is
// left there, and "" returned, if it has other characters than visible ASCII.
std::string TakeId(std::string* metadata);

// The native request of `known` with the payloads of `raw`, which must have as
// many.
SplitRequest NativeRequest(const KnownRequest& known, const SplitRequest& raw);

}  // namespace actserve::kserve

#endif  // ACTSERVE_SERVER_KSERVE_KNOWN_REQUESTS_H_
