#ifndef ACTSERVE_CLIENT_CPP_IN_PROCESS_H_
#define ACTSERVE_CLIENT_CPP_IN_PROCESS_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/cpp/message/split_response.h"
#include "client/cpp/replicas.h"
#include "grpcpp/support/slice.h"

namespace actserve {

// Something in this process that answers the calls of the contract, in the
// place of a server. Thread-safe.
class InProcess {
 public:
  virtual ~InProcess() = default;

  // Answers the call of `method` ("Forward") whose request is the concatenation
  // of `parts`. If the payloads of the response have the sizes of `outputs`, it
  // may write them there, and answer with slices of that memory. Errors are
  // those of a server.
  virtual absl::StatusOr<std::vector<grpc::Slice>> Call(
      absl::string_view method, absl::Span<const ByteSpan> parts,
      absl::Span<const absl::Span<std::byte>> outputs,
      const Bounds& bounds) = 0;

  // Answers a call like earlier ones, of which nothing is wanted but
  // `outputs`: all of them are written, unless it returns an error. nullopt,
  // and nothing was done: make an ordinary Call().
  virtual std::optional<absl::Status> CallInto(
      absl::string_view /*method*/, absl::Span<const ByteSpan> /*parts*/,
      absl::Span<const absl::Span<std::byte>> /*outputs*/,
      const Bounds& /*bounds*/) {
    return std::nullopt;
  }

  // As those of Client.
  virtual absl::Status ShareDevice(const void* /*pointer*/) {
    return absl::FailedPreconditionError(
        "memory of a GPU is used by one server on this host, by its unix "
        "socket, or by this process on that GPU");
  }
  virtual void ForgetDevice(const void* /*pointer*/) {}
  // True if tensors of a call are in memory that was shared.
  virtual bool IsOnDevice(absl::Span<const ByteSpan> /*parts*/,
                          absl::Span<const absl::Span<std::byte>> /*outputs*/) {
    return false;
  }
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_IN_PROCESS_H_
