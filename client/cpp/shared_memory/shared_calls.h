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
#include "client/cpp/shared_memory/device_allocations.h"
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

  // The same for a call of whose tensors some lie in allocations that are
  // shared: there is no other way, so that every failure is an error. Waits
  // first until the work on `stream` is done, if there is one.
  //   FailedPrecondition, InvalidArgument  the server cannot use the memory
  //   Unavailable                          there is no way to the server
  absl::StatusOr<std::vector<grpc::Slice>> CallOnDevice(
      absl::string_view method, absl::Span<const ByteSpan> parts,
      absl::Span<const absl::Span<std::byte>> outputs, const CallBounds& bounds,
      std::optional<void*> stream, const std::string& trace = "");
  // True if that is what the call needs. Forgets allocations that were freed.
  bool IsOnDevice(absl::Span<const ByteSpan> parts,
                  absl::Span<const absl::Span<std::byte>> outputs);

  // Shares the allocation on a GPU that `pointer` lies in: the errors of
  // DeviceAllocations::Add() and CallOnDevice().
  absl::Status ShareDevice(const void* pointer);
  // Ends that; no effect if it is not shared. Null: of all.
  void ForgetDevice(const void* pointer);

  const std::shared_ptr<SharedPool>& pool() const { return pool_; }

 private:
  using Allocations = std::vector<DeviceAllocations::AllocationPtr>;
  // Has the server close them.
  void Forget(const Allocations& allocations);
  // There may be no way to the server now, or until `deadline`.
  absl::StatusOr<std::shared_ptr<RingClient>> Ring(absl::Time deadline);
  // Unlike Call(), tells why the call was not made: `was_made` stays false.
  absl::StatusOr<std::vector<grpc::Slice>> TryCall(
      absl::string_view method, absl::Span<const ByteSpan> parts,
      absl::Span<const absl::Span<std::byte>> outputs, const CallBounds& bounds,
      const std::string& trace, bool& was_made);

  const std::string path_;
  const std::function<std::string()> token_;
  // Threads and mappings of another process are not a child's.
  const pid_t pid_;
  const std::shared_ptr<SharedPool> pool_;
  DeviceAllocations allocations_{DeviceAllocations::For::kServer};
  absl::Mutex mu_;
  std::shared_ptr<RingClient> ring_ ABSL_GUARDED_BY(mu_);
  // A thread is at it.
  bool is_connecting_ ABSL_GUARDED_BY(mu_) = false;
  absl::Time next_try_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  // Why the last try failed.
  absl::Status why_ ABSL_GUARDED_BY(mu_);
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_SHARED_MEMORY_SHARED_CALLS_H_
