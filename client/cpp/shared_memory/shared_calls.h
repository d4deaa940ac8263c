#ifndef ACTSERVE_CLIENT_CPP_SHARED_MEMORY_SHARED_CALLS_H_
#define ACTSERVE_CLIENT_CPP_SHARED_MEMORY_SHARED_CALLS_H_

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "client/cpp/message/split_response.h"
#include "client/cpp/shared_memory/ring_client.h"
#include "client/cpp/shared_memory/shared_pool.h"
#include "grpcpp/support/slice.h"

namespace actserve {

// Calls of a server on this host through memory that both share. Tensors that
// lie in blocks of pool() are used there; others are copied in and out, once.
// Thread-safe.
class SharedCalls {
 public:
  // `path`: of the control socket. `token` returns the token of a call, or "".
  SharedCalls(std::string path, size_t max_bytes,
              std::function<std::string()> token);

  // Answers the call of `method` ("Forward") whose request is the concatenation
  // of `parts`. If the payloads of the response have the sizes of `outputs`,
  // they are written there, and the response refers to that memory. `trace` is
  // a traceparent, and after a line feed a tracestate, or "". nullopt: the call
  // cannot be made this way, or the server refused it for now, or is gone;
  // nothing is lost by making it another way. Errors are those of the server.
  std::optional<absl::StatusOr<std::vector<grpc::Slice>>> Call(
      absl::string_view method, absl::Span<const ByteSpan> parts,
      absl::Span<const absl::Span<std::byte>> outputs, const CallBounds& bounds,
      const std::string& trace = "");

  const std::shared_ptr<SharedPool>& pool() const { return pool_; }

 private:
  // Null: there is no way to the server now.
  std::shared_ptr<RingClient> Ring();

  const std::string path_;
  const std::function<std::string()> token_;
  // Threads and mappings of another process are not a child's.
  const pid_t pid_;
  const std::shared_ptr<SharedPool> pool_;
  absl::Mutex mu_;
  std::shared_ptr<RingClient> ring_ ABSL_GUARDED_BY(mu_);
  absl::Time next_try_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_SHARED_MEMORY_SHARED_CALLS_H_
