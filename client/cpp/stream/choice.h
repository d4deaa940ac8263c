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
// asked. Below, the client tries the unary call first.
inline constexpr size_t kStreamFromBytes = size_t{48} << 20;
// gRPC prefixes a message with its length in 32 bits, and protobuf's own
// classes stop at 2 GiB.
inline constexpr size_t kMaxUnaryBytes = std::numeric_limits<int32_t>::max();

// True if `method` is one that streams can do: a Forward, or a Backward that
// does not need a residual. `request` is the encoded unary request.
bool MayStream(absl::string_view method, const SplitResponse& request);

// True if `status` says that a unary request or its response is over a limit on
// the bytes of a message.
bool IsOverMessageLimit(const absl::Status& status);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_STREAM_CHOICE_H_
