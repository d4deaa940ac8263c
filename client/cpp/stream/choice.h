#ifndef ACTSERVE_CLIENT_CPP_STREAM_CHOICE_H_
#define ACTSERVE_CLIENT_CPP_STREAM_CHOICE_H_

#include <cstddef>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/cpp/message/split_response.h"

namespace actserve {

// Calls whose tensors, one way, are so many bytes go as streams without being
// asked, if they can be computed in pieces. Measured (docs/benchmarks.md): from
// 4 MiB on a stream is about as fast as the unary call, over TCP often faster;
// 1 MiB takes it 1.2 times as long.
inline constexpr size_t kStreamFromBytes = size_t{8} << 20;
inline constexpr size_t kStreamFromBytesByUnixSocket = size_t{64} << 20;
// gRPC prefixes a message with its length in 32 bits, and protobuf's own
// classes stop at 2 GiB.
inline constexpr size_t kMaxUnaryBytes = std::numeric_limits<int32_t>::max();

// How a request can go as a stream.
enum class StreamUse {
  // It needs a residual.
  kNever,
  // If it is over a limit on messages: the server keeps no residual then, or
  // computes it as one piece.
  kIfTooLarge,
  kFromSize,
};
// `request` is an encoded unary request of `method`, "Forward".
StreamUse StreamUseOf(absl::string_view method, const SplitResponse& request);

// True if `status` says that a unary request or its response is over a limit on
// the bytes of a message.
bool IsOverMessageLimit(const absl::Status& status);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_STREAM_CHOICE_H_
