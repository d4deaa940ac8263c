#ifndef ACTSERVE_SERVER_STREAM_STREAM_REQUEST_H_
#define ACTSERVE_SERVER_STREAM_STREAM_REQUEST_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "server/identity/tenant.h"
#include "server/message/request.h"
#include "server/state/registry.h"
#include "server/state/residuals.h"
#include "server/stream/frame.h"

namespace actserve {

// The most that a stream computes ahead of what it has sent, and the default.
inline constexpr int64_t kMaxStreamWindowBytes = int64_t{4} << 20;
// The least that a client may ask for.
inline constexpr int64_t kMinStreamWindowBytes = int64_t{1} << 20;

// The most bytes of one chunk, and the least of one that does not end its
// tensor: keeping a chunk takes some memory beside its bytes.
inline constexpr int64_t kMaxChunkBytes = int64_t{1} << 20;
inline constexpr int64_t kMinChunkBytes = 4096;

// A request whose tensors come in chunks, after all checks of the unary one.
struct StreamRequest {
  // The payloads are those of the tensors that the client sends. It keeps no
  // residual.
  TensorRequest request;
  // Of each payload.
  std::vector<int64_t> payload_bytes;
  // How many bytes of results may be computed ahead.
  int64_t window_bytes = kMaxStreamWindowBytes;
};

// Decodes the first message of a stream.
//   InvalidArgument  the request is wrong; the message says where
//   NotFound         ACTIVATION_UNKNOWN
absl::StatusOr<StreamRequest> DecodeStream(
    TensorMethod method, const RequestFrame& frame, const RequestLimits& limits,
    Registry& registry, Residuals& residuals, const Tenant* tenant = nullptr);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_STREAM_STREAM_REQUEST_H_
