#ifndef ACTSERVE_CLIENT_CPP_SERVER_CALLS_H_
#define ACTSERVE_CLIENT_CPP_SERVER_CALLS_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/cpp/client.h"
#include "client/cpp/connect/channel_security.h"
#include "client/cpp/message/split_response.h"
#include "client/cpp/replicas.h"
#include "client/cpp/shared_memory/shared_calls.h"
#include "grpcpp/support/slice.h"

namespace actserve {

// "/package.Service/", of the activation service.
inline constexpr char kService[] = "/actserve.v1.ActivationService/";

// Takes the calls of a client to its servers, each by the way that suits it:
// through shared memory, as a stream of chunks, or as one message. Thread-safe.
class ServerCalls {
 public:
  // `address` passed CheckAddress().
  ServerCalls(const std::string& address, const Client::Options& options,
              ChannelSecurity security);

  // Answers one call of the service, `method` "Forward": the bytes of its
  // reply. Tensors of the reply are written to `outputs`, and the reply refers
  // to them, where the way can do so. `place` as in Replicas::Call().
  absl::StatusOr<std::vector<grpc::Slice>> Send(
      absl::string_view method, absl::Span<const ByteSpan> parts,
      absl::Span<const absl::Span<std::byte>> outputs, const Bounds& bounds,
      ReplicaPtr& place);

  Replicas& replicas() { return replicas_; }
  // Null if no memory is shared.
  SharedCalls* shared() { return shared_ ? &*shared_ : nullptr; }

 private:
  absl::StatusOr<std::vector<grpc::Slice>> SendUnary(
      absl::string_view method, absl::Span<const ByteSpan> parts,
      const Bounds& bounds, ReplicaPtr& place);

  Replicas replicas_;
  std::optional<SharedCalls> shared_;
  // From so many bytes on a stream is faster.
  const size_t stream_from_bytes_;
  // False once a server has said so.
  std::atomic<bool> has_streams_ = true;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_SERVER_CALLS_H_
